/*
 * Trains a network of two layers with dropout, smoothed cross-entropy and AdamW to tell the arms of a spiral apart, as
 * one graph that is launched again and again: the key of dropout lies on the device, so that each replay draws fresh
 * bits. In the folder of the unpacked archive:
 *
 *     cc -std=c99 -Iinclude examples/train.c -Llib -lkernels -lm -Wl,-rpath,"$PWD/lib" -o train && ./train
 *
 * An argument chooses the device: cpu, opencl:N or cuda:N.
 */
#include <kernels.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 300, INPUTS = 2, HIDDEN = 64, CLASSES = 3, STEPS = 300, TENSORS = 32 };

static kernels_memory* memory[TENSORS];
static int64_t shapes[TENSORS][2];
static int tensors;

static void check(kernels_status status) {
    if (status == KERNELS_STATUS_OK) {
        return;
    }
    fprintf(stderr, "%s: %s\n", kernels_status_name(status), kernels_last_error());
    exit(1);
}

/* A tensor in memory of the device, [rows, columns], or [rows] where columns is 0. */
static kernels_tensor allocate(kernels_device* device, kernels_dtype dtype, int64_t rows, int64_t columns) {
    kernels_tensor tensor = {NULL, 0, dtype, columns > 0 ? 2 : 1, shapes[tensors], NULL, NULL};
    shapes[tensors][0] = rows;
    shapes[tensors][1] = columns;
    uint64_t size = dtype == KERNELS_DTYPE_UINT64 ? 8 : 4;
    check(kernels_memory_allocate(device, size * (uint64_t)(rows * (columns > 0 ? columns : 1)), &memory[tensors]));
    tensor.memory = memory[tensors++];
    return tensor;
}

/* A weight or a bias with its gradient, uniform in [-scale, scale]. */
static void parameter(kernels_device* device, kernels_stream* stream, int64_t rows, int64_t columns, double scale,
                      kernels_tensor pair[2]) {
    static uint32_t state = 1;
    float values[HIDDEN * (INPUTS + CLASSES)];
    for (int64_t i = 0; i < rows * (columns > 0 ? columns : 1); i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(scale * (state / 2147483648.0 - 1));
    }
    pair[0] = allocate(device, KERNELS_DTYPE_FLOAT32, rows, columns);
    pair[1] = allocate(device, KERNELS_DTYPE_FLOAT32, rows, columns);
    check(kernels_stream_upload(stream, values, &pair[0]));
}

int main(int argc, char** argv) {
    kernels_device* device;
    kernels_stream* stream;
    check(kernels_device_open(argc > 1 ? argv[1] : NULL, &device));
    check(kernels_stream_create(device, &stream));

    static float points[ROWS * INPUTS], scores[ROWS * CLASSES];
    static int32_t arms[ROWS];
    for (int i = 0; i < ROWS; i++) {
        arms[i] = i % CLASSES;
        double radius = (double)i / ROWS, angle = 4 * radius + 2 * 3.14159265358979 * arms[i] / CLASSES;
        points[2 * i] = (float)(radius * cos(angle));
        points[2 * i + 1] = (float)(radius * sin(angle));
    }
    kernels_tensor x = allocate(device, KERNELS_DTYPE_FLOAT32, ROWS, INPUTS);
    kernels_tensor labels = allocate(device, KERNELS_DTYPE_INT32, ROWS, 0);
    check(kernels_stream_upload(stream, points, &x));
    check(kernels_stream_upload(stream, arms, &labels));

    kernels_tensor w1[2], b1[2], w2[2], b2[2];
    parameter(device, stream, HIDDEN, INPUTS, 1, w1);
    parameter(device, stream, HIDDEN, 0, 0, b1);
    parameter(device, stream, CLASSES, HIDDEN, 1, w2);
    parameter(device, stream, CLASSES, 0, 0, b2);
    kernels_tensor weights[] = {w1[0], w2[0]}, weight_gradients[] = {w1[1], w2[1]};
    kernels_tensor biases[] = {b1[0], b2[0]}, bias_gradients[] = {b1[1], b2[1]};
    kernels_parameter_group groups[] = {{weights, weight_gradients, 2}, {biases, bias_gradients, 2}};
    kernels_adamw_options options[] = {KERNELS_ADAMW_OPTIONS_INIT, KERNELS_ADAMW_OPTIONS_INIT};
    options[0].learning_rate = options[1].learning_rate = 0.01;
    options[1].weight_decay = 0;
    kernels_optimizer* optimizer;
    check(kernels_adamw_create(device, groups, options, 2, NULL, &optimizer));

    kernels_tensor hidden = allocate(device, KERNELS_DTYPE_FLOAT32, ROWS, HIDDEN);
    kernels_tensor dropped = allocate(device, KERNELS_DTYPE_FLOAT32, ROWS, HIDDEN);
    kernels_tensor d_hidden = allocate(device, KERNELS_DTYPE_FLOAT32, ROWS, HIDDEN);
    kernels_tensor logits = allocate(device, KERNELS_DTYPE_FLOAT32, ROWS, CLASSES);
    kernels_tensor d_logits = allocate(device, KERNELS_DTYPE_FLOAT32, ROWS, CLASSES);
    kernels_tensor loss = allocate(device, KERNELS_DTYPE_FLOAT32, 1, 0);

    uint64_t seed_and_offset[] = {42, 0};
    kernels_tensor key_on_device = allocate(device, KERNELS_DTYPE_UINT64, 2, 0);
    check(kernels_stream_upload(stream, seed_and_offset, &key_on_device));
    kernels_key key = {0, 0, &key_on_device};

    kernels_cross_entropy_targets targets = {&labels, NULL, NULL, NULL};
    kernels_cross_entropy_options mean = KERNELS_CROSS_ENTROPY_OPTIONS_INIT;
    mean.reduction = KERNELS_LOSS_REDUCTION_MEAN;
    mean.smoothing = 0.05;

    kernels_graph* step;
    check(kernels_stream_begin_capture(stream));
    check(kernels_linear_forward(stream, &x, &w1[0], &b1[0], &hidden));
    check(kernels_relu_forward(stream, &hidden, &hidden));
    check(kernels_dropout_forward(stream, &hidden, &dropped, 0.2, &key, NULL));
    check(kernels_linear_forward(stream, &dropped, &w2[0], &b2[0], &logits));
    check(kernels_cross_entropy_forward_backward(stream, &logits, &targets, NULL, NULL, &loss, &d_logits, NULL, 1,
                                                 &mean));
    check(kernels_linear_backward(stream, &dropped, &w2[0], &d_logits, &d_hidden, &w2[1], &b2[1]));
    check(kernels_dropout_backward(stream, &d_hidden, &d_hidden, 0.2, &key, NULL));
    check(kernels_relu_backward(stream, &hidden, &d_hidden, &d_hidden));
    check(kernels_linear_backward(stream, &x, &w1[0], &d_hidden, NULL, &w1[1], &b1[1]));
    check(kernels_optimizer_step(optimizer, stream));
    check(kernels_random_bits_advance(stream, &key_on_device, 1));
    check(kernels_stream_end_capture(stream, &step));
    for (int i = 0; i < STEPS; i++) {
        check(kernels_graph_launch(step, stream));
    }

    float last;
    check(kernels_stream_download(stream, &loss, &last));
    check(kernels_linear_forward(stream, &x, &w1[0], &b1[0], &hidden)); /* inference: no dropout */
    check(kernels_relu_forward(stream, &hidden, &hidden));
    check(kernels_linear_forward(stream, &hidden, &w2[0], &b2[0], &logits));
    check(kernels_stream_download(stream, &logits, scores));
    int right = 0;
    for (int i = 0; i < ROWS; i++) {
        const float* row = scores + CLASSES * i;
        int best = row[1] > row[0] ? (row[2] > row[1] ? 2 : 1) : (row[2] > row[0] ? 2 : 0);
        right += best == arms[i];
    }
    printf("loss %.3f after %d steps, right: %.3f\n", (double)last, STEPS, (double)right / ROWS);

    check(kernels_graph_free(step));
    check(kernels_optimizer_free(optimizer));
    for (int i = 0; i < tensors; i++) {
        check(kernels_memory_free(memory[i]));
    }
    check(kernels_stream_free(stream));
    check(kernels_device_free(device));
    return right > ROWS * 9 / 10 ? 0 : 1;
}
