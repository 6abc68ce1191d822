/*
 * What a caller can do wrong: each must give a status and a message, and the process goes on. Prints what is not so,
 * and at the end a sum over the bits of a result, which the tests compare with the managed call's. With the id of a
 * device it only prints that sum, of a call on borrowed memory of the device, as its address, at an offset.
 */
#include <kernels.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 1000 };

static int failures;

static void expect(int line, kernels_status wanted, kernels_status status, const char* words) {
    const char* message = kernels_last_error();
    if (status == wanted && (status == KERNELS_STATUS_OK || strstr(message, words))) return;
    printf("check.c:%d: %s, not %s: %s (no '%s')\n", line, kernels_status_name(status), kernels_status_name(wanted),
           message, words);
    failures++;
}

#define OK(call)              expect(__LINE__, KERNELS_STATUS_OK, call, "")
#define ARGUMENT(call, words) expect(__LINE__, KERNELS_STATUS_INVALID_ARGUMENT, call, words)
#define HANDLE(call, words)   expect(__LINE__, KERNELS_STATUS_INVALID_HANDLE, call, words)
#define STATE(call, words)    expect(__LINE__, KERNELS_STATUS_INVALID_STATE, call, words)

static kernels_device* device;
static kernels_stream* stream;
static float values[COUNT], results[COUNT];
static int64_t shape[] = {10, 100};
static kernels_key key = {42, 7, NULL};

static kernels_tensor tensor_of(float* data) {
    kernels_tensor tensor = {NULL, 0, KERNELS_DTYPE_FLOAT32, 2, NULL, NULL, NULL};
    tensor.data = data;
    tensor.shape = shape;
    return tensor;
}

static void check_handles(void) {
    kernels_tensor x = tensor_of(values), y = tensor_of(results);
    HANDLE(kernels_dropout_forward(NULL, &x, &y, 0.5, &key, NULL), "stream is NULL");
    HANDLE(kernels_dropout_forward((kernels_stream*)device, &x, &y, 0.5, &key, NULL), "another object");
    HANDLE(kernels_stream_synchronize((kernels_stream*)&x), "no handle");
    kernels_device* none;
    kernels_stream* other;
    HANDLE(kernels_stream_create((kernels_device*)stream, &other), "another object");
    OK(kernels_stream_create(device, &other));
    OK(kernels_stream_free(other));
    HANDLE(kernels_stream_free(other), "was freed");
    HANDLE(kernels_dropout_forward(other, &x, &y, 0.5, &key, NULL), "was freed");
    OK(kernels_stream_free(NULL));
    OK(kernels_device_free(NULL));
    HANDLE(kernels_graph_launch(NULL, stream), "NULL");
    HANDLE(kernels_optimizer_step(NULL, stream), "NULL");
    ARGUMENT(kernels_device_open("gpu", &none), "gpu");
    expect(__LINE__, KERNELS_STATUS_DEVICE_NOT_AVAILABLE, kernels_device_open("cuda:99", &none), "");
    ARGUMENT(kernels_device_open("cpu", NULL), "device");
}

static void check_tensors(void) {
    kernels_tensor x = tensor_of(values), y = tensor_of(results), bad;
    int64_t negative[] = {-1, 100}, huge[] = {INT64_MAX, INT64_MAX}, transposed[] = {1, 10}, padded[] = {128, 1};
    ARGUMENT(kernels_dropout_forward(stream, NULL, &y, 0.5, &key, NULL), "x is NULL");
    ARGUMENT(kernels_dropout_forward(stream, &x, NULL, 0.5, &key, NULL), "y");
    ARGUMENT(kernels_dropout_forward(stream, &x, &y, 0.5, NULL, NULL), "key is NULL");
    ARGUMENT(kernels_dropout_forward(stream, &x, &y, 1.5, &key, NULL), "1.5");
    bad = y, bad.data = NULL;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "data of y is NULL");
    bad = y, bad.data = (char*)results + 1;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "no place for elements of 4 bytes");
    bad = y, bad.byte_offset = 2;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "byte_offset of y is 2");
    bad = y, bad.byte_offset = UINT64_MAX - 3;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "y");
    bad = y, bad.dtype = KERNELS_DTYPE_FLOAT16;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "y stores f16, where f32 is needed");
    bad = x, bad.dtype = KERNELS_DTYPE_INT32;
    ARGUMENT(kernels_dropout_forward(stream, &bad, &y, 0.5, &key, NULL), "i32");
    bad = x, bad.dtype = 77;
    ARGUMENT(kernels_dropout_forward(stream, &bad, &y, 0.5, &key, NULL), "number 77");
    bad = y, bad.rank = 1;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "[10]");
    bad = y, bad.rank = 1000000;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "rank of y is 1000000");
    bad = y, bad.shape = NULL;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "shape of y is NULL");
    bad = y, bad.shape = negative;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "negative");
    bad = y, bad.shape = huge;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "2^63");
    bad = y, bad.strides = transposed;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "strides [1, 10]");
    bad = y, bad.strides = padded;
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "only dense rows");
    bad = tensor_of(values + 4);
    ARGUMENT(kernels_dropout_forward(stream, &x, &bad, 0.5, &key, NULL), "overlap");
}

static void check_options(void) {
    kernels_tensor x = tensor_of(values), y = tensor_of(results);
    kernels_dropout_options options = KERNELS_DROPOUT_OPTIONS_INIT;
    OK(kernels_dropout_forward(stream, &x, &y, 0.5, &key, &options));
    options.size = 0;
    ARGUMENT(kernels_dropout_forward(stream, &x, &y, 0.5, &key, &options), "size is 0");
    options.size = sizeof options + 8;
    ARGUMENT(kernels_dropout_forward(stream, &x, &y, 0.5, &key, &options), "KERNELS_DROPOUT_OPTIONS_INIT");
    kernels_batch_norm_options norm = KERNELS_BATCH_NORM_OPTIONS_INIT;
    norm.layout = 5;
    ARGUMENT(kernels_batch_norm_infer(stream, &x, NULL, NULL, &x, &x, &y, &norm), "");
    kernels_conv2d_options conv = KERNELS_CONV2D_OPTIONS_INIT;
    conv.groups = 2;
    ARGUMENT(kernels_conv2d_forward(stream, &x, &x, NULL, &y, &conv), "groups is set, and has_groups is false");
    conv.groups = 0, conv.stride.height = conv.stride.width = 2;
    ARGUMENT(kernels_conv2d_forward(stream, &x, &x, NULL, &y, &conv), "has_stride");
    kernels_drop_block_rate rate = {7, 0.1};
    int64_t block[] = {3, 0}, sides[] = {1, 10, 10, 10};
    kernels_tensor map = x, mapped = y;
    map.rank = mapped.rank = 4, map.shape = mapped.shape = sides;
    ARGUMENT(kernels_drop_block_forward(stream, &map, &mapped, block, 2, &rate, &key, NULL), "rate.rule");
    rate.rule = KERNELS_DROP_BLOCK_RULE_EXACT;
    ARGUMENT(kernels_drop_block_forward(stream, &map, &mapped, block, 2, &rate, &key, NULL), "blockSize");
    kernels_device_info info;
    memset(&info, 0, sizeof info);
    ARGUMENT(kernels_device_get_info(device, &info), "size");
    info.size = sizeof info;
    OK(kernels_device_get_info(device, &info));
    int64_t outside = 0, count = 0, image[] = {1, 3, 8, 8}, filter[] = {4, 3, 3, 3}, made[4];
    ARGUMENT(kernels_conv2d_output_shape(image, 4, filter, 4, NULL, made, 3, &count), "4 results");
    if (count != 4) failures++, printf("count %lld\n", (long long)count);
    OK(kernels_conv2d_output_shape(image, 4, filter, 4, NULL, made, 4, &count));
    if (made[1] != 4 || made[3] != 6) failures++, printf("output shape\n");
    ARGUMENT(kernels_drop_block_forward(stream, &x, &y, NULL, 2, NULL, &key, NULL), "");
    ARGUMENT(kernels_drop_block_forward(stream, &x, &y, &outside, -1, NULL, &key, NULL), "");
}

static void check_memory(void) {
    kernels_tensor x = tensor_of(values), y = tensor_of(NULL);
    kernels_memory* memory;
    OK(kernels_memory_allocate(device, sizeof results, &memory));
    y.memory = memory;
    kernels_device* other;
    kernels_stream* elsewhere;
    OK(kernels_device_open("cpu", &other));
    OK(kernels_stream_create(other, &elsewhere));
    ARGUMENT(kernels_dropout_forward(elsewhere, &x, &y, 0.5, &key, NULL), "y is on");
    OK(kernels_device_free(other));
    HANDLE(kernels_dropout_forward(elsewhere, &x, &x, 0.5, &key, NULL), "the device of the stream");
    OK(kernels_stream_free(elsewhere));
    y.byte_offset = 8;
    ARGUMENT(kernels_dropout_forward(stream, &x, &y, 0.5, &key, NULL), "");
    y.byte_offset = 0;
    OK(kernels_stream_upload(stream, values, &x));
    OK(kernels_memory_free(memory));
    HANDLE(kernels_dropout_forward(stream, &x, &y, 0.5, &key, NULL), "memory of y");
    HANDLE(kernels_memory_free(memory), "was freed");
    expect(__LINE__, KERNELS_STATUS_OUT_OF_MEMORY, kernels_memory_allocate(device, (uint64_t)1 << 60, &memory), "");
}

static void check_capture(void) {
    kernels_tensor x = tensor_of(values), y = tensor_of(results);
    kernels_graph* graph;
    STATE(kernels_stream_end_capture(stream, &graph), "not being captured");
    OK(kernels_stream_begin_capture(stream));
    STATE(kernels_stream_begin_capture(stream), "captured already");
    STATE(kernels_stream_download(stream, &x, results), "being captured");
    STATE(kernels_stream_synchronize(stream), "being captured");
    OK(kernels_dropout_forward(stream, &x, &y, 0.5, &key, NULL));
    OK(kernels_stream_abandon_capture(stream));
    OK(kernels_stream_begin_capture(stream));
    OK(kernels_dropout_forward(stream, &x, &y, 0.5, &key, NULL));
    OK(kernels_stream_end_capture(stream, &graph));
    memset(results, 0xff, sizeof results);
    OK(kernels_graph_launch(graph, stream));
    OK(kernels_graph_free(graph));
    HANDLE(kernels_graph_launch(graph, stream), "was freed");
}

/* What keeps memory of handles keeps it alive: it may be freed, and is used on. */
static void check_kept_memory(void) {
    int64_t count[] = {COUNT};
    kernels_memory *first, *second;
    kernels_graph* graph;
    kernels_optimizer* optimizer;
    OK(kernels_memory_allocate(device, sizeof values, &first));
    OK(kernels_memory_allocate(device, sizeof values, &second));
    kernels_tensor p = {NULL, 0, KERNELS_DTYPE_FLOAT32, 1, count, NULL, first}, g = p;
    g.memory = second;
    OK(kernels_stream_upload(stream, values, &p));
    OK(kernels_stream_upload(stream, values, &g));
    OK(kernels_stream_begin_capture(stream));
    OK(kernels_dropout_forward(stream, &p, &g, 0.5, &key, NULL));
    OK(kernels_stream_end_capture(stream, &graph));
    kernels_parameter_group group = {&p, &g, 1};
    kernels_sgd_options options = KERNELS_SGD_OPTIONS_INIT;
    OK(kernels_sgd_create(device, &group, &options, 1, NULL, &optimizer));
    OK(kernels_memory_free(first));
    OK(kernels_memory_free(second));
    OK(kernels_graph_launch(graph, stream));
    OK(kernels_optimizer_step(optimizer, stream));
    OK(kernels_optimizer_free(optimizer));
    OK(kernels_graph_free(graph));
}

static void check_events(void) {
    kernels_event *point, *later;
    double seconds;
    HANDLE(kernels_event_wait(NULL), "NULL");
    ARGUMENT(kernels_stream_record(stream, NULL), "is NULL");
    OK(kernels_stream_record(stream, &point));
    OK(kernels_stream_record(stream, &later));
    OK(kernels_stream_wait(stream, point));
    OK(kernels_event_wait(point));
    ARGUMENT(kernels_event_elapsed(point, later, NULL), "is NULL");
    OK(kernels_event_elapsed(point, later, &seconds));
    HANDLE(kernels_stream_wait(stream, (kernels_event*)device), "another object");
    OK(kernels_event_free(point));
    HANDLE(kernels_event_free(point), "was freed");
    HANDLE(kernels_stream_wait(stream, point), "was freed");
    OK(kernels_event_free(later));
}

static void check_objects(void) {
    kernels_tensor x = tensor_of(values), y = tensor_of(results);
    kernels_parameter_group group = {&x, NULL, 1};
    kernels_adamw_options options = KERNELS_ADAMW_OPTIONS_INIT;
    kernels_optimizer* optimizer;
    ARGUMENT(kernels_adamw_create(device, &group, &options, 1, NULL, &optimizer), "gradients is NULL");
    group.gradients = &y;
    options.learning_rate = -1;
    ARGUMENT(kernels_adamw_create(device, &group, &options, 1, NULL, &optimizer), "LearningRate");
    options.learning_rate = 0.1;
    OK(kernels_adamw_create(device, &group, &options, 1, NULL, &optimizer));
    kernels_lion_options lion = KERNELS_LION_OPTIONS_INIT;
    HANDLE(kernels_lion_set_options(optimizer, 0, &lion), "another object");
    ARGUMENT(kernels_adamw_set_options(optimizer, 1, &options), "1 groups");
    ARGUMENT(kernels_optimizer_state(optimizer, "velocity", 0, &x), "first_moment");
    STATE(kernels_optimizer_zero_counts(optimizer, &x), "not counted");
    OK(kernels_optimizer_free(optimizer));
    HANDLE(kernels_optimizer_step(optimizer, stream), "was freed");
    x = tensor_of(values);
    kernels_norm_penalty* penalty;
    kernels_tied_gradients* tied;
    ARGUMENT(kernels_norm_penalty_create(device, NULL, NULL, NULL, 1, KERNELS_L2_CONVENTION_HALF, &penalty), "is NULL");
    HANDLE(kernels_norm_penalty_create(NULL, NULL, NULL, NULL, 0, KERNELS_L2_CONVENTION_HALF, &penalty), "NULL");
    ARGUMENT(kernels_tied_gradients_create(device, NULL, 1, NULL, NULL, &tied), "is NULL");
    HANDLE(kernels_norm_penalty_free((kernels_norm_penalty*)stream), "another object");
    HANDLE(kernels_tied_gradients_free((kernels_tied_gradients*)stream), "another object");
    kernels_snapshot* snapshot;
    OK(kernels_snapshot_create(device, &x, 1, KERNELS_SNAPSHOT_PLACE_DEVICE, &snapshot));
    STATE(kernels_snapshot_restore(snapshot, stream), "nothing was saved");
    OK(kernels_snapshot_free(snapshot));
}

static void check_bad_data(void) {
    int64_t rows[] = {10};
    int32_t labels[10] = {0};
    kernels_tensor logits = tensor_of(values), losses = tensor_of(results), target = losses;
    losses.rank = target.rank = 1, losses.shape = target.shape = rows;
    target.data = labels, target.dtype = KERNELS_DTYPE_INT32;
    kernels_cross_entropy_targets targets = {&target, NULL, NULL, NULL}, none = {NULL, NULL, NULL, NULL};
    OK(kernels_cross_entropy_forward(stream, &logits, &targets, NULL, &losses, NULL, NULL));
    OK(kernels_stream_synchronize(stream));
    labels[3] = 100;
    OK(kernels_cross_entropy_forward(stream, &logits, &targets, NULL, &losses, NULL, NULL));
    expect(__LINE__, KERNELS_STATUS_BAD_DATA, kernels_stream_synchronize(stream), "");
    ARGUMENT(kernels_cross_entropy_forward(stream, &logits, &none, NULL, &losses, NULL, NULL), "targets has labels");
    targets.shares = &losses;
    ARGUMENT(kernels_cross_entropy_forward(stream, &logits, &targets, NULL, &losses, NULL, NULL), "targets has labels");
}

/* The struct of DLPack that its deleter is called with. */
struct managed {
    void* data;
    int32_t device_type, device_id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
    void* context;
    void (*deleter)(struct managed*);
};

static int deleted;

static void count_deletion(struct managed* tensor) {
    (void)tensor;
    deleted++;
}

static void check_dlpack(void) {
    struct managed lent = {values, 1, 0, 2, 2, 32, 1, shape, NULL, 16, NULL, count_deletion};
    int64_t small[] = {2, 3}, odd[] = {1, 2};
    lent.shape = small;
    kernels_memory* memory;
    kernels_tensor tensor;
    lent.strides = odd;
    ARGUMENT(kernels_memory_from_dlpack(device, &lent, false, false, &memory, &tensor), "strides [1, 2]");
    lent.strides = NULL, lent.device_type = 2;
    ARGUMENT(kernels_memory_from_dlpack(device, &lent, false, false, &memory, &tensor), "of type 2");
    lent.device_type = 1, lent.bits = 4;
    ARGUMENT(kernels_memory_from_dlpack(device, &lent, false, false, &memory, &tensor), "4 bits");
    lent.bits = 32;
    OK(kernels_memory_from_dlpack(device, &lent, false, false, &memory, &tensor));
    float got[6];
    OK(kernels_stream_download(stream, &tensor, got));
    if (got[0] != values[4] || got[5] != values[9]) failures++, printf("byte offset of DLPack\n");
    if (deleted) failures++, printf("deleted early\n");
    OK(kernels_memory_free(memory));
    HANDLE(kernels_memory_free(memory), "was freed");
    if (deleted != 1) failures++, printf("deleted %d times\n", deleted);

    struct managed* made;
    kernels_tensor x = tensor_of(values);
    OK(kernels_tensor_to_dlpack(device, &x, false, (void**)&made));
    if (made->data != (void*)values || made->strides[0] != 100) failures++, printf("made by DLPack\n");
    made->deleter(made);
    ARGUMENT(kernels_tensor_to_dlpack(device, NULL, true, (void**)&made), "tensor is NULL");
    ARGUMENT(kernels_tensor_to_dlpack(device, &x, true, NULL), "managed is NULL");
}

/* The same since version 1. */
struct versioned {
    uint32_t major, minor;
    void* context;
    void (*deleter)(struct versioned*);
    uint64_t flags;
    void* data;
    int32_t device_type, device_id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};

static void count_other_deletion(struct versioned* tensor) {
    (void)tensor;
    deleted++;
}

#define TAKE(read_only) kernels_memory_from_dlpack(device, &lent, true, read_only, &memory, &tensor)

static void check_versioned_dlpack(void) {
    struct versioned lent = {1, 0, NULL, count_other_deletion, 0, values, 1, 0, 2, 2, 32, 1, NULL, NULL, 16};
    int64_t small[] = {2, 3}, odd[] = {1, 2};
    kernels_memory* memory;
    kernels_tensor tensor;
    deleted = 0;
    ARGUMENT(TAKE(false), "no shape");
    lent.shape = small, lent.ndim = -1;
    ARGUMENT(TAKE(false), "-1 dimensions");
    lent.ndim = 2, lent.strides = odd;
    ARGUMENT(TAKE(false), "strides [1, 2]");
    lent.strides = NULL, lent.lanes = 2;
    ARGUMENT(TAKE(false), "2 lanes");
    lent.lanes = 1, lent.byte_offset = 2;
    ARGUMENT(TAKE(false), "begins after 2 bytes");
    lent.byte_offset = 16, lent.data = NULL;
    ARGUMENT(TAKE(false), "no data");
    lent.data = values, lent.flags = 1;
    ARGUMENT(TAKE(false), "read-only");
    lent.major = 2;
    expect(__LINE__, KERNELS_STATUS_NOT_SUPPORTED, TAKE(true), "2.0");
    lent.major = 1;
    ARGUMENT(kernels_memory_from_dlpack(device, NULL, true, false, &memory, &tensor), "managed is NULL");
    ARGUMENT(kernels_memory_from_dlpack(device, &lent, true, true, NULL, &tensor), "memory is NULL");
    ARGUMENT(kernels_memory_from_dlpack(device, &lent, true, true, &memory, NULL), "tensor is NULL");
    if (deleted) failures++, printf("what was not taken was deleted\n");
    OK(TAKE(true));
    float got[6];
    OK(kernels_stream_download(stream, &tensor, got));
    if (got[0] != values[4] || got[5] != values[9]) failures++, printf("byte offset of versioned DLPack\n");
    OK(kernels_memory_free(memory));
    if (deleted != 1) failures++, printf("versioned, deleted %d times\n", deleted);
    lent.deleter = NULL;
    OK(TAKE(true));
    OK(kernels_memory_free(memory));

    /* Memory that is lent lives until its deleter is called. */
    struct versioned* made;
    int64_t count[] = {COUNT};
    OK(kernels_memory_allocate(device, sizeof results, &memory));
    kernels_tensor own = {NULL, 4, KERNELS_DTYPE_FLOAT32, 1, count, NULL, memory};
    ARGUMENT(kernels_tensor_to_dlpack(device, &own, true, (void**)&made), "");
    own.byte_offset = 0;
    OK(kernels_tensor_to_dlpack(device, &own, true, (void**)&made));
    OK(kernels_memory_free(memory));
    if (made->major != 1 || made->flags || made->ndim != 1 || made->strides[0] != 1) failures++, printf("versioned\n");
    memcpy((char*)made->data + made->byte_offset, values, sizeof values);
    made->deleter(made);
}

static pthread_key_t ending;
static kernels_status status_at_end;
static char message_at_end[256];

static void call_at_end(void* managed) {
    status_at_end = kernels_stream_synchronize(stream);
    strncpy(message_at_end, kernels_last_error(), sizeof message_at_end - 1);
    ((struct managed*)managed)->deleter(managed);
}

static void* live_and_end(void* unused) {
    struct managed* made;
    kernels_tensor x = tensor_of(values);
    OK(kernels_tensor_to_dlpack(device, &x, false, (void**)&made));
    pthread_setspecific(ending, made);
    return unused;
}

/* Data of a thread is destroyed after the runtime has let go of the thread. */
static void check_ending_threads(void) {
    pthread_key_create(&ending, call_at_end);
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, live_and_end, NULL);
        pthread_join(thread, NULL);
        if (status_at_end != KERNELS_STATUS_THREAD_ENDED || !strstr(message_at_end, "ending")) {
            failures++, printf("at the end of a thread: %d %s\n", (int)status_at_end, message_at_end);
        }
    }
    OK(kernels_stream_synchronize(stream));
}

static uint32_t sum_of_results(void) {
    uint32_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        uint32_t bits;
        memcpy(&bits, &results[i], sizeof bits);
        sum = sum * 31 + bits;
    }
    return sum;
}

/* The call itself, and as a graph. */
static void borrow(const char* id) {
    enum { OFFSET = 12 };
    kernels_memory *from, *to;
    kernels_graph* graph;
    void *from_address, *to_address;
    OK(kernels_device_open(id, &device));
    OK(kernels_stream_create(device, &stream));
    OK(kernels_memory_allocate(device, sizeof values + OFFSET, &from));
    OK(kernels_memory_allocate(device, sizeof results, &to));
    OK(kernels_memory_address(from, &from_address));
    OK(kernels_memory_address(to, &to_address));
    kernels_tensor x = tensor_of(from_address), y = tensor_of(to_address);
    x.byte_offset = OFFSET;
    OK(kernels_stream_upload(stream, values, &x));
    OK(kernels_dropout_forward(stream, &x, &y, 0.25, &key, NULL));
    OK(kernels_stream_download(stream, &y, results));
    uint32_t sum = sum_of_results();
    OK(kernels_stream_fill(stream, &y, values));
    OK(kernels_stream_begin_capture(stream));
    OK(kernels_dropout_forward(stream, &x, &y, 0.25, &key, NULL));
    OK(kernels_stream_end_capture(stream, &graph));
    OK(kernels_graph_launch(graph, stream));
    OK(kernels_stream_download(stream, &y, results));
    if (sum != sum_of_results()) failures++, printf("graph\n");
    OK(kernels_graph_free(graph));
    OK(kernels_memory_free(from));
    OK(kernels_memory_free(to));
}

int main(int count, char** arguments) {
    for (int i = 0; i < COUNT; i++) values[i] = (float)(i - 500) / 16;
    if (count > 1) {
        borrow(arguments[1]);
        printf("sum %08x\n", sum_of_results());
        return failures ? 1 : 0;
    }
    if (kernels_version() != KERNELS_VERSION) failures++, printf("version\n");
    if (kernels_last_error()[0]) failures++, printf("message before any failure\n");
    OK(kernels_device_open("cpu", &device));
    OK(kernels_stream_create(device, &stream));
    check_handles();
    check_tensors();
    check_options();
    check_memory();
    check_capture();
    check_objects();
    check_bad_data();
    check_dlpack();
    check_versioned_dlpack();
    check_kept_memory();
    check_events();
    check_ending_threads();

    kernels_tensor x = tensor_of(values), y = tensor_of(results);
    OK(kernels_dropout_forward(stream, &x, &y, 0.25, &key, NULL));
    OK(kernels_stream_free(stream));
    OK(kernels_device_free(device));
    printf("sum %08x\n", sum_of_results());
    return failures ? 1 : 0;
}
