/*
 * Kernels: neural-network regularization on CUDA, OpenCL and CPUs, with the same random bits everywhere and no stored
 * masks.
 *
 * Every function but the first three returns a status, and leaves a message for its thread where that is not
 * KERNELS_STATUS_OK. Memory and tensors are the caller's: a call gets pointers with shapes, and allocates nothing that
 * the caller does not free. Work is queued on a stream, in the order of the calls; on the CPU device it is done when a
 * call returns.
 *
 * Handles (kernels_device *, kernels_stream *, ...) are never looked into: one that was freed, or is of another kind,
 * gives KERNELS_STATUS_INVALID_HANDLE. They may be freed in any order and used from any thread. Numbers and handles
 * are passed by value, all structs by pointer. Options may be NULL for the defaults; otherwise begin with the struct's
 * _INIT macro, which sets its size:
 *
 *     kernels_dropout_options options = KERNELS_DROPOUT_OPTIONS_INIT;
 *     options.scaling = KERNELS_DROPOUT_SCALING_ORIGINAL;
 *
 * A pointer that may be NULL is said to be optional. A number that may be missing has a has_ before it, which is to be
 * set with it. Structs grow only at their end, and a library takes the sizes of those before it. The library cannot be
 * unloaded. On Linux libkernels.so is the front of a build for each level of instructions, which lie beside it.
 *
 * Made from the library's exports; do not edit.
 */
/* clang-format off */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(KERNELS_API)
#elif defined(_WIN32)
#define KERNELS_API __declspec(dllimport)
#else
#define KERNELS_API
#endif

/** Major * 10000 + minor * 100 + patch; kernels_version gives that of the library. */
#define KERNELS_VERSION 100

#ifdef __cplusplus
extern "C" {
#endif

/* --- Types ------------------------------------------------------------------------------------------------------ */

/** A device. */
typedef struct kernels_device kernels_device;

/** A point in the work of a stream. */
typedef struct kernels_event kernels_event;

/** Captured work that can be launched again and again. */
typedef struct kernels_graph kernels_graph;

/** Memory of a device. */
typedef struct kernels_memory kernels_memory;

/** L1 and L2 penalties over a list of parameters. */
typedef struct kernels_norm_penalty kernels_norm_penalty;

/** An optimizer over a list of parameters. */
typedef struct kernels_optimizer kernels_optimizer;

/** A copy of a list of parameters. */
typedef struct kernels_snapshot kernels_snapshot;

/** A queue of work on a device. */
typedef struct kernels_stream kernels_stream;

/** Gradients of parameters that are used several times. */
typedef struct kernels_tied_gradients kernels_tied_gradients;

/** What a function returns. After anything but OK, kernels_last_error says what was wrong. */
typedef int32_t kernels_status;
enum {
    /* Done, or queued. */
    KERNELS_STATUS_OK = 0,
    /* A value, a shape, a data type, a struct's size, or NULL where something is needed; nothing was launched. */
    KERNELS_STATUS_INVALID_ARGUMENT = 1,
    /* A handle that is NULL, was freed, is of another kind, or never was one; or memory that was freed. */
    KERNELS_STATUS_INVALID_HANDLE = 2,
    /* Not now: the stream is being captured, or is not, or nothing was saved yet. */
    KERNELS_STATUS_INVALID_STATE = 3,
    /* The device cannot do this. */
    KERNELS_STATUS_NOT_SUPPORTED = 4,
    /* There is no such device, or its driver cannot be loaded. */
    KERNELS_STATUS_DEVICE_NOT_AVAILABLE = 5,
    /* The driver reports an error; after one that destroys the context every later call reports the first
       cause. */
    KERNELS_STATUS_DEVICE_ERROR = 6,
    /* Too little free memory; the device stays usable. */
    KERNELS_STATUS_OUT_OF_MEMORY = 7,
    /* A kernel does not compile; the message ends with the compiler's log. */
    KERNELS_STATUS_COMPILATION_FAILED = 8,
    /* A kernel met data it cannot use, such as a label outside the classes: told by the next call that waits
       for the stream. Device and stream stay usable. */
    KERNELS_STATUS_BAD_DATA = 9,
    /* A mistake in this library; please report the message. */
    KERNELS_STATUS_INTERNAL_ERROR = 10,
    /* The thread is ending: its own data is being destroyed, and the library takes no more of its calls. Linux
       only. */
    KERNELS_STATUS_THREAD_ENDED = 11,
    /* The files of the library that lie beside it are missing, or of another version. */
    KERNELS_STATUS_LIBRARY_NOT_LOADED = 12
};

/**
 * The element types a tensor can store. Arithmetic is done in float (double for KERNELS_DTYPE_FLOAT64), whatever is
 * stored.
 */
typedef int32_t kernels_dtype;
enum {
    /* IEEE binary32, Single. */
    KERNELS_DTYPE_FLOAT32 = 0,
    /* IEEE binary16, Half. */
    KERNELS_DTYPE_FLOAT16 = 1,
    /* The upper half of a binary32, kernels_bfloat16. */
    KERNELS_DTYPE_BFLOAT16 = 2,
    /* IEEE binary64, Double; for verification. */
    KERNELS_DTYPE_FLOAT64 = 3,
    /* Unsigned byte; images. */
    KERNELS_DTYPE_UINT8 = 4,
    /* Signed 32-bit integer; labels and indices. */
    KERNELS_DTYPE_INT32 = 5,
    /* Unsigned 32-bit integer; packed masks. */
    KERNELS_DTYPE_UINT32 = 6,
    /* Unsigned 64-bit integer; random keys. */
    KERNELS_DTYPE_UINT64 = 7
};

/** The kind of a device. */
typedef int32_t kernels_device_kind;
enum {
    /* The managed device: vectorised C#, always there. */
    KERNELS_DEVICE_KIND_CPU = 0,
    /* An OpenCL 1.2 (or newer) device of any vendor. */
    KERNELS_DEVICE_KIND_OPENCL = 1,
    /* An NVIDIA GPU through the CUDA driver. */
    KERNELS_DEVICE_KIND_CUDA = 2
};

/** The action of weight decay (L2). */
typedef int32_t kernels_weight_decay_mode;
enum {
    /* The gradient of (decay / 2) * |w|^2 joins the gradient: g + decay * w. Under an adaptive optimizer it is
       scaled with the gradient. */
    KERNELS_WEIGHT_DECAY_MODE_COUPLED = 0,
    /* Before the step the weight is multiplied by 1 - rate * decay, whatever the gradient does (Loshchilov and
       Hutter, ICLR 2019). */
    KERNELS_WEIGHT_DECAY_MODE_DECOUPLED = 1,
    /* After the step the weight is divided by 1 + rate * decay: the proximal step of (decay / 2) * |w|^2. With
       a proximal L1 it is the elastic net's. */
    KERNELS_WEIGHT_DECAY_MODE_PROXIMAL = 2
};

/** The action of L1. */
typedef int32_t kernels_l1_mode;
enum {
    /* l1 * sign(w) joins the gradient, sign(0) = 0. Weights come near 0 and swing around it; hardly any is
       exactly 0. */
    KERNELS_L1_MODE_SUBGRADIENT = 0,
    /* After the step w becomes sign(w) * max(|w| - rate * l1, 0): exact zeros (Beck and Teboulle, "A fast
       iterative shrinkage-thresholding algorithm", 2009). */
    KERNELS_L1_MODE_PROXIMAL = 1
};

/** The place of a ParameterSnapshot's copy. */
typedef int32_t kernels_snapshot_place;
enum {
    /* In the device's memory: fastest, and as large as the parameters once more. */
    KERNELS_SNAPSHOT_PLACE_DEVICE = 0,
    /* In page-locked host memory, which kernels reach over the bus: costs no device memory. */
    KERNELS_SNAPSHOT_PLACE_HOST = 1
};

/**
 * The square that an L2 strength multiplies. Systems differ, and a factor of 2 in the strength is the usual
 * surprise.
 */
typedef int32_t kernels_l2_convention;
enum {
    /* (l2 / 2) * |w|^2 with gradient l2 * w: weight decay of PyTorch, the form of textbooks. */
    KERNELS_L2_CONVENTION_HALF = 0,
    /* l2 * |w|^2 with gradient 2 * l2 * w: regularizers of Keras. */
    KERNELS_L2_CONVENTION_FULL = 1
};

/** The gradient's treatment of the random decision of AdaptiveDropout. */
typedef int32_t kernels_adaptive_estimator;
enum {
    /* The mask is a constant: dx = m * dy, dpre = 0. What the paper's backpropagation through the kept units
       does. */
    KERNELS_ADAPTIVE_ESTIMATOR_MASK_CONSTANT = 0,
    /* The mask in the forward pass, its probability in the gradient of the decision: dx = m * dy, dpre = alpha
       * pi * (1 - pi) * x * dy. */
    KERNELS_ADAPTIVE_ESTIMATOR_STRAIGHT_THROUGH = 1,
    /* The gradient of the expected output, that is of kernels_adaptive_dropout_infer: dx = pi * dy, dpre =
       alpha * pi * (1 - pi) * x * dy. Draws nothing. */
    KERNELS_ADAPTIVE_ESTIMATOR_EXPECTATION = 2
};

/** The place where dropout makes up for the dropped elements: training or inference. */
typedef int32_t kernels_dropout_scaling;
enum {
    /* Training multiplies kept elements by 65536/T; inference is the identity. What frameworks call dropout
       today. */
    KERNELS_DROPOUT_SCALING_INVERTED = 0,
    /* Training leaves kept elements as they are; inference multiplies by the keep probability T/65536. The
       original paper. */
    KERNELS_DROPOUT_SCALING_ORIGINAL = 1
};

/** The place of the channels in a tensor of maps. */
typedef int32_t kernels_tensor_layout;
enum {
    /* [batch, channels, ...]: NCL, NCHW, NCDHW. */
    KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST = 0,
    /* [batch, ..., channels]: NLC, NHWC, NDHWC. */
    KERNELS_TENSOR_LAYOUT_CHANNELS_LAST = 1
};

/** How a place between pixels is read. */
typedef int32_t kernels_image_interpolation;
enum {
    /* The four pixels around it, weighed by distance. */
    KERNELS_IMAGE_INTERPOLATION_BILINEAR = 0,
    /* The nearest pixel; halfway, the one of the even number. */
    KERNELS_IMAGE_INTERPOLATION_NEAREST = 1
};

/** What lies outside of an image. */
typedef int32_t kernels_image_border;
enum {
    /* One value everywhere, fill. */
    KERNELS_IMAGE_BORDER_CONSTANT = 0,
    /* The nearest pixel of the image. */
    KERNELS_IMAGE_BORDER_EDGE = 1,
    /* The image mirrored, again and again; about what, align_corners says. */
    KERNELS_IMAGE_BORDER_REFLECT = 2
};

/** What part of an image becomes the output. */
typedef int32_t kernels_augment_crop;
enum {
    /* The middle, at the input's scale. */
    KERNELS_AUGMENT_CROP_CENTER = 0,
    /* A window of the output's size at a random place of the padded input. */
    KERNELS_AUGMENT_CROP_WINDOW = 1,
    /* A window of random area and aspect, stretched to the output's size (Inception's crop). */
    KERNELS_AUGMENT_CROP_RESIZED = 2
};

/** Sets of ops and of their greatest magnitudes for AutoAugment. */
typedef int32_t kernels_augment_space;
enum {
    /* RandAugment's: shear 0.3, shift 150/331 of a side, 30 degrees, factors 1 +- 0.9, 4 of 8 bits, solarize
       down to 0. */
    KERNELS_AUGMENT_SPACE_RAND_AUGMENT = 0,
    /* TrivialAugment's wide one: shear 0.99, shift 32 pixels, 135 degrees, factors 1 +- 0.99, 2 of 8 bits. A
       shift is at most 3/4 of a side, so that something is left of small images. */
    KERNELS_AUGMENT_SPACE_TRIVIAL_AUGMENT_WIDE = 1,
    /* For small images: shear 0.2, shift 1/8 of a side, 15 degrees, factors 1 +- 0.5, 4 of 8 bits; neither
       solarize nor equalize. */
    KERNELS_AUGMENT_SPACE_NARROW = 2
};

/** The value that the momentum of running statistics is the weight of. */
typedef int32_t kernels_momentum_weight;
enum {
    /* The new value: running = (1 - momentum) * running + momentum * value, as in PyTorch and cuDNN. */
    KERNELS_MOMENTUM_WEIGHT_NEW_VALUE = 0,
    /* The old value: running = momentum * running + (1 - momentum) * value, as in Keras, Flax and ONNX. */
    KERNELS_MOMENTUM_WEIGHT_OLD_VALUE = 1
};

/** The estimate of a variance over n values. */
typedef int32_t kernels_variance_estimate;
enum {
    /* Sum of squared deviations over n - 1, as PyTorch and cuDNN keep it. */
    KERNELS_VARIANCE_ESTIMATE_UNBIASED = 0,
    /* The same over n, as Keras and Flax keep it, and as the values themselves are always normalized. */
    KERNELS_VARIANCE_ESTIMATE_BIASED = 1
};

/** Over which cells DropBlock makes up for those it dropped: kept ones are multiplied by cells / kept cells. */
typedef int32_t kernels_drop_block_normalization;
enum {
    /* Over all maps of the call, as the authors' code does; a shard counts its own. */
    KERNELS_DROP_BLOCK_NORMALIZATION_BATCH = 0,
    /* Over the maps of each sample. */
    KERNELS_DROP_BLOCK_NORMALIZATION_SAMPLE = 1,
    /* Over each map. */
    KERNELS_DROP_BLOCK_NORMALIZATION_MAP = 2,
    /* By the expected share instead of the counted one: 1 / (1 - drop_probability). Nothing is counted. */
    KERNELS_DROP_BLOCK_NORMALIZATION_EXPECTED = 3,
    /* Not at all. */
    KERNELS_DROP_BLOCK_NORMALIZATION_NONE = 4
};

/** The rule by which kernels_drop_block_rate gives the probability that a block starts at a position. */
typedef int32_t kernels_drop_block_rule;
enum {
    /* The expected share of dropped cells is the value. */
    KERNELS_DROP_BLOCK_RULE_EXACT = 0,
    /* The paper's formula, which drops less than the value. */
    KERNELS_DROP_BLOCK_RULE_PAPER = 1,
    /* The value is the probability itself. */
    KERNELS_DROP_BLOCK_RULE_GAMMA = 2
};

/** How sums of a convolution may be made. */
typedef int32_t kernels_conv2d_algorithm;
enum {
    /* Each result is the sum of its taps' products. */
    KERNELS_CONV2D_ALGORITHM_DIRECT = 0,
    /* Where the device has it, by Winograd's minimal filtering: 4x4 results at once of transformed pixels and
       taps, with a quarter of the multiplications; elsewhere as KERNELS_CONV2D_ALGORITHM_DIRECT. The CPU has
       it, with vectors of 256 bits or more, for y, dx and the gradient of the filter in float, with 3x3 taps,
       stride and dilation 1, 16 channels of a group or more on either side and 32 tiles or more. Rounding
       errors have two to three times the root mean square (kernels/docs/conv2d.md says what bounds them), and a
       NaN, an infinity or an overflow may reach all results of a tile. A. Lavin and S. Gray, "Fast Algorithms
       for Convolutional Neural Networks", CVPR 2016. */
    KERNELS_CONV2D_ALGORITHM_WINOGRAD = 1
};

/**
 * The classes that get the probability which label smoothing takes from the target; K is the number of classes that
 * are not masked.
 */
typedef int32_t kernels_label_smoothing;
enum {
    /* Spread over all classes, the target among them: t = (1 - epsilon) q + epsilon / K (Szegedy et al.,
       "Rethinking the Inception architecture", CVPR 2016; PyTorch). */
    KERNELS_LABEL_SMOOTHING_ALL_CLASSES = 0,
    /* Spread over the other classes: 1 - epsilon for the label, epsilon / (K - 1) for each other class
       (Goodfellow, Bengio and Courville, "Deep Learning", 7.5.1). It is KERNELS_LABEL_SMOOTHING_ALL_CLASSES
       with epsilon K / (K - 1). With one class nothing is smoothed. */
    KERNELS_LABEL_SMOOTHING_OTHER_CLASSES = 1
};

/** The reduction of the rows' losses. */
typedef int32_t kernels_loss_reduction;
enum {
    /* One loss a row. */
    KERNELS_LOSS_REDUCTION_NONE = 0,
    /* Their sum. */
    KERNELS_LOSS_REDUCTION_SUM = 1,
    /* Their sum over the normalizer: the weights of the labels that are not ignored; for probabilities the
       number of rows that are not ignored. */
    KERNELS_LOSS_REDUCTION_MEAN = 2
};

/** The mean of nothing: no rows, all rows ignored, or weights that add up to 0. */
typedef int32_t kernels_empty_mean;
enum {
    /* Loss and gradient are 0. */
    KERNELS_EMPTY_MEAN_ZERO = 0,
    /* The loss is NaN, as 0/0 is. So is the gradient of rows that are not ignored, if there are any. */
    KERNELS_EMPTY_MEAN_NAN = 1
};

/** What shares one lambda in Mixup and CutMix. */
typedef int32_t kernels_mixing_mode;
enum {
    /* Each row has its own, which its sample number decides. */
    KERNELS_MIXING_MODE_SAMPLE = 0,
    /* All rows of the batch have one, as in the papers, which the batch's lowest sample number decides. */
    KERNELS_MIXING_MODE_BATCH = 1
};

/** What stands in the dropped blocks. */
typedef int32_t kernels_drop_block_fill;
enum {
    /* +0. */
    KERNELS_DROP_BLOCK_FILL_ZERO = 0,
    /* Standard normal numbers, unscaled. They have no gradient. */
    KERNELS_DROP_BLOCK_FILL_NOISE = 1
};

/** The activation that follows a layer. */
typedef int32_t kernels_drop_connect_activation;
enum {
    /* a(u) = u. */
    KERNELS_DROP_CONNECT_ACTIVATION_IDENTITY = 0,
    /* a(u) = max(u, 0); NaN stays NaN. */
    KERNELS_DROP_CONNECT_ACTIVATION_RELU = 1,
    /* a(u) = tanh(u). */
    KERNELS_DROP_CONNECT_ACTIVATION_TANH = 2,
    /* a(u) = 1 / (1 + exp(-u)). */
    KERNELS_DROP_CONNECT_ACTIVATION_SIGMOID = 3
};

/** What embedding dropout decides about. */
typedef int32_t kernels_embedding_dropout_scope;
enum {
    /* Word types: all occurrences of an id in the call are kept or dropped together (AWD-LSTM). The unit is the
       id. */
    KERNELS_EMBEDDING_DROPOUT_SCOPE_BATCH = 0,
    /* Word types of each sequence (Gal and Ghahramani); the ids have the shape [sequences, length]. The unit is
       sequence * vocabulary + id. */
    KERNELS_EMBEDDING_DROPOUT_SCOPE_SEQUENCE = 1,
    /* Each position alone. The unit is the position in the dense order of the ids. */
    KERNELS_EMBEDDING_DROPOUT_SCOPE_POSITION = 2
};

/**
 * The form of the losses of a generative adversarial network; r and g are logits of real and of generated samples.
 */
typedef int32_t kernels_gan_loss_form;
enum {
    /* The logistic loss: discriminator mean softplus(-r) + mean softplus(g), generator mean softplus(-g), which
       does not saturate where the discriminator wins (Goodfellow et al., "Generative adversarial nets", NeurIPS
       2014). */
    KERNELS_GAN_LOSS_FORM_NON_SATURATING = 0,
    /* The hinge: discriminator mean max(0, 1 - r) + mean max(0, 1 + g), generator -mean g (J. H. Lim and J. C.
       Ye, "Geometric GAN", 2017; T. Miyato et al., "Spectral normalization for generative adversarial
       networks", ICLR 2018). */
    KERNELS_GAN_LOSS_FORM_HINGE = 1
};

/** The unit of one decision in StochasticDepth. */
typedef int32_t kernels_stochastic_depth_mode;
enum {
    /* Each row, an index of the first axis: drop path. */
    KERNELS_STOCHASTIC_DEPTH_MODE_ROW = 0,
    /* The whole call, as in the paper. */
    KERNELS_STOCHASTIC_DEPTH_MODE_BATCH = 1
};

/** The numbering of blocks in kernels_stochastic_depth_linear_decay. */
typedef int32_t kernels_depth_indexing;
enum {
    /* The paper's l / L for l = 1 to L: the first block drops already, the last with the full probability. */
    KERNELS_DEPTH_INDEXING_FROM_ONE = 0,
    /* timm's linspace(0, p, L): the first block never drops, the last with the full probability; a single block
       never drops. */
    KERNELS_DEPTH_INDEXING_FROM_ZERO = 1
};

/** The axis of time in a sequence tensor. */
typedef int32_t kernels_sequence_layout;
enum {
    /* [time, batch, features]. */
    KERNELS_SEQUENCE_LAYOUT_TIME_FIRST = 0,
    /* [batch, time, features]. */
    KERNELS_SEQUENCE_LAYOUT_BATCH_FIRST = 1
};

typedef struct kernels_key kernels_key;
typedef struct kernels_tensor kernels_tensor;
typedef struct kernels_device_info kernels_device_info;
typedef struct kernels_parameter_group kernels_parameter_group;
typedef struct kernels_adam_options kernels_adam_options;
typedef struct kernels_optimizer_settings kernels_optimizer_settings;
typedef struct kernels_adamw_options kernels_adamw_options;
typedef struct kernels_lion_options kernels_lion_options;
typedef struct kernels_rms_prop_options kernels_rms_prop_options;
typedef struct kernels_sgd_options kernels_sgd_options;
typedef struct kernels_penalty_strength kernels_penalty_strength;
typedef struct kernels_dropout_options kernels_dropout_options;
typedef struct kernels_augment_options kernels_augment_options;
typedef struct kernels_attention_dropout_options kernels_attention_dropout_options;
typedef struct kernels_padding2d kernels_padding2d;
typedef struct kernels_augment_range kernels_augment_range;
typedef struct kernels_size2d kernels_size2d;
typedef struct kernels_augment_policy kernels_augment_policy;
typedef struct kernels_auto_augment_policy kernels_auto_augment_policy;
typedef struct kernels_average_pool2d_options kernels_average_pool2d_options;
typedef struct kernels_batch_norm_options kernels_batch_norm_options;
typedef struct kernels_batch_norm_drop_block_options kernels_batch_norm_drop_block_options;
typedef struct kernels_drop_block_rate kernels_drop_block_rate;
typedef struct kernels_bias_dropout_residual_options kernels_bias_dropout_residual_options;
typedef struct kernels_channel_dropout_options kernels_channel_dropout_options;
typedef struct kernels_conv2d_options kernels_conv2d_options;
typedef struct kernels_cross_entropy_targets kernels_cross_entropy_targets;
typedef struct kernels_cross_entropy_options kernels_cross_entropy_options;
typedef struct kernels_mixing_options kernels_mixing_options;
typedef struct kernels_cutout_options kernels_cutout_options;
typedef struct kernels_differentiable_policy kernels_differentiable_policy;
typedef struct kernels_differentiable_augment_options kernels_differentiable_augment_options;
typedef struct kernels_drop_block_options kernels_drop_block_options;
typedef struct kernels_drop_connect_options kernels_drop_connect_options;
typedef struct kernels_embedding_dropout_options kernels_embedding_dropout_options;
typedef struct kernels_mat_mul_options kernels_mat_mul_options;
typedef struct kernels_max_pool2d_options kernels_max_pool2d_options;
typedef struct kernels_minibatch_deviation_options kernels_minibatch_deviation_options;
typedef struct kernels_random_erase_options kernels_random_erase_options;
typedef struct kernels_spectral_norm_options kernels_spectral_norm_options;
typedef struct kernels_stochastic_depth_options kernels_stochastic_depth_options;
typedef struct kernels_variational_dropout_options kernels_variational_dropout_options;

/**
 * A random key. Each call that draws takes one offset of a seed; the same key gives the same bits on every device.
 */
struct kernels_key {
    /* The seed. */
    uint64_t seed;
    /* The number of the call. */
    uint64_t offset;
    /* Two UINT64 in device memory, seed and offset, in the place of the two above: replays of a graph draw
       fresh bits when kernels_random_bits_advance is part of it. Or NULL. */
    const kernels_tensor *device;
};

/**
 * A dense, row-major tensor: where its elements are, and their type and shape. It belongs to the caller, as does
 * the memory; a call keeps nothing of it. A graph keeps the addresses, an optimizer, a snapshot, a penalty and tied
 * gradients keep addresses and shapes.
 */
struct kernels_tensor {
    /* Memory of the caller: an address for the CPU, a CUdeviceptr, or a cl_mem. NULL where memory is set, and
       allowed where there are no elements. Addresses are multiples of the size of an element. */
    void *data;
    /* Bytes from there to the first element: a whole number of elements. */
    uint64_t byte_offset;
    /* The type of the elements. */
    kernels_dtype dtype;
    /* The number of dimensions, at most 32; 0 is a scalar. */
    int32_t rank;
    /* The dimensions, slowest first. */
    const int64_t *shape;
    /* For each dimension how many elements apart its neighbours are; NULL for dense rows. Others than those of
       dense rows are refused, except for dimensions of 1, where they mean nothing. */
    const int64_t *strides;
    /* Memory that this library allocated, in the place of data, so that a use after it was freed is found out;
       or NULL. */
    kernels_memory *memory;
};

/** What is known about a device. */
struct kernels_device_info {
    /* sizeof(kernels_device_info), set by the caller. */
    size_t size;
    /* The kind of device. */
    kernels_device_kind kind;
    /* Whether it can be opened. */
    bool available;
    /* Whether it has double precision; false where it was not opened. */
    bool supports_float64;
    /* Its memory; 0 when unknown. */
    int64_t memory_bytes;
    /* What kernels_device_open takes. */
    char id[32];
    /* The vendor's name. */
    char name[256];
    /* Why it cannot be opened, or empty. */
    char reason[512];
};

/** Parameters that share their options, with their gradients. */
struct kernels_parameter_group {
    /* The parameters, of any shapes; all of an optimizer have one data type. */
    const kernels_tensor *parameters;
    /* Their gradients, in the same order and shapes. */
    const kernels_tensor *gradients;
    /* How many there are. */
    int64_t count;
};

/** Options of Adam: weight decay is coupled, as in PyTorch's Adam, unless said otherwise. */
struct kernels_adam_options {
    /* sizeof(kernels_adam_options). */
    size_t size;
    /* Step size, finite and at least 0. */
    double learning_rate;
    /* Strength of L2 in the convention (decay / 2) * |w|^2. Finite and at least 0; 0 for biases, as a rule. */
    double weight_decay;
    /* The action of weight_decay. */
    kernels_weight_decay_mode weight_decay_mode;
    /* Strength of L1, l1 * |w|. Finite and at least 0. */
    double l1;
    /* The action of l1; proximal unless said otherwise. */
    kernels_l1_mode l1_mode;
    /* The longest a row of a parameter (all that belongs to one entry of its first dimension; a vector is one
       row) may be after the step; longer ones are scaled to it (Srivastava et al., JMLR 2014). 0 for no limit. */
    double maximum_norm;
    /* Decay of the first moment, in [0, 1). */
    double beta1;
    /* Decay of the second moment, in [0, 1). */
    double beta2;
    /* Added to the square root of the second moment, finite and at least 0. */
    double epsilon;
    /* Divides by the largest second moment so far (AMSGrad). */
    bool uses_largest_second_moment;
};

#define KERNELS_ADAM_OPTIONS_INIT \
    { \
        sizeof(kernels_adam_options), \
        0.001, /* learning_rate */ \
        0.0, /* weight_decay */ \
        KERNELS_WEIGHT_DECAY_MODE_COUPLED, /* weight_decay_mode */ \
        0.0, /* l1 */ \
        KERNELS_L1_MODE_PROXIMAL, /* l1_mode */ \
        0.0, /* maximum_norm */ \
        0.9, /* beta1 */ \
        0.999, /* beta2 */ \
        1E-08, /* epsilon */ \
        false /* uses_largest_second_moment */ \
    }

/** Settings of an optimizer as a whole. */
struct kernels_optimizer_settings {
    /* sizeof(kernels_optimizer_settings). */
    size_t size;
    /* Gradients are scaled down when the 2-norm of all of them together exceeds this: by maximum / (norm +
       1e-6), as in PyTorch. 0 for no limit. Costs one more reading of the gradients. */
    double maximum_gradient_norm;
    /* A step with a NaN or infinite gradient changes nothing but the count of skipped steps. The decision stays
       on the device. Costs one more reading of the gradients, shared with maximum_gradient_norm. */
    bool skips_non_finite_gradients;
    /* The factor of the loss; gradients are divided by it. */
    double loss_scale;
    /* One float in device memory that takes the place of loss_scale, read at each step. Stays the caller's. */
    const kernels_tensor *device_loss_scale;
    /* A float for each group in device memory that takes the place of the learning rates, read at each step.
       Stays the caller's. */
    const kernels_tensor *device_learning_rates;
    /* Half and BFloat16 parameters get a float copy that is updated in their stead and rounded into them, so
       that small updates add up. A parameter that its copy does not round to was written by someone else: the
       next step begins there. Costs one more reading of the parameters and the copies. No effect on float and
       double. */
    bool keeps_master_copy;
    /* Whether average_decay is given. */
    bool has_average_decay;
    /* Keeps an exponential moving average of the weights, average = average + (1 - decay) * (w - average), that
       begins with the weights after the first step, and anew where a parameter is written from outside. In [0,
       1); NULL for none. */
    double average_decay;
    /* Counts the parameters that are exactly 0 after each step, for each tensor. */
    bool counts_zeros;
};

#define KERNELS_OPTIMIZER_SETTINGS_INIT \
    { \
        sizeof(kernels_optimizer_settings), \
        0.0, /* maximum_gradient_norm */ \
        false, /* skips_non_finite_gradients */ \
        1.0, /* loss_scale */ \
        NULL, /* device_loss_scale */ \
        NULL, /* device_learning_rates */ \
        false, /* keeps_master_copy */ \
        false, /* has_average_decay */ \
        0.0, /* average_decay */ \
        false /* counts_zeros */ \
    }

/** Options of AdamW: weight decay is decoupled and 0.01, as in PyTorch's AdamW, unless said otherwise. */
struct kernels_adamw_options {
    /* sizeof(kernels_adamw_options). */
    size_t size;
    /* Step size, finite and at least 0. */
    double learning_rate;
    /* Strength of L2 in the convention (decay / 2) * |w|^2. Finite and at least 0; 0 for biases, as a rule. */
    double weight_decay;
    /* The action of weight_decay. */
    kernels_weight_decay_mode weight_decay_mode;
    /* Strength of L1, l1 * |w|. Finite and at least 0. */
    double l1;
    /* The action of l1; proximal unless said otherwise. */
    kernels_l1_mode l1_mode;
    /* The longest a row of a parameter (all that belongs to one entry of its first dimension; a vector is one
       row) may be after the step; longer ones are scaled to it (Srivastava et al., JMLR 2014). 0 for no limit. */
    double maximum_norm;
    /* Decay of the first moment, in [0, 1). */
    double beta1;
    /* Decay of the second moment, in [0, 1). */
    double beta2;
    /* Added to the square root of the second moment, finite and at least 0. */
    double epsilon;
    /* Divides by the largest second moment so far (AMSGrad). */
    bool uses_largest_second_moment;
};

#define KERNELS_ADAMW_OPTIONS_INIT \
    { \
        sizeof(kernels_adamw_options), \
        0.001, /* learning_rate */ \
        0.01, /* weight_decay */ \
        KERNELS_WEIGHT_DECAY_MODE_DECOUPLED, /* weight_decay_mode */ \
        0.0, /* l1 */ \
        KERNELS_L1_MODE_PROXIMAL, /* l1_mode */ \
        0.0, /* maximum_norm */ \
        0.9, /* beta1 */ \
        0.999, /* beta2 */ \
        1E-08, /* epsilon */ \
        false /* uses_largest_second_moment */ \
    }

/** Options of Lion: weight decay is decoupled unless said otherwise. */
struct kernels_lion_options {
    /* sizeof(kernels_lion_options). */
    size_t size;
    /* Step size, finite and at least 0. */
    double learning_rate;
    /* Strength of L2 in the convention (decay / 2) * |w|^2. Finite and at least 0; 0 for biases, as a rule. */
    double weight_decay;
    /* The action of weight_decay. */
    kernels_weight_decay_mode weight_decay_mode;
    /* Strength of L1, l1 * |w|. Finite and at least 0. */
    double l1;
    /* The action of l1; proximal unless said otherwise. */
    kernels_l1_mode l1_mode;
    /* The longest a row of a parameter (all that belongs to one entry of its first dimension; a vector is one
       row) may be after the step; longer ones are scaled to it (Srivastava et al., JMLR 2014). 0 for no limit. */
    double maximum_norm;
    /* Share of the momentum in the direction of a step, in [0, 1). */
    double beta1;
    /* Decay of the momentum, in [0, 1). */
    double beta2;
};

#define KERNELS_LION_OPTIONS_INIT \
    { \
        sizeof(kernels_lion_options), \
        0.0001, /* learning_rate */ \
        0.0, /* weight_decay */ \
        KERNELS_WEIGHT_DECAY_MODE_DECOUPLED, /* weight_decay_mode */ \
        0.0, /* l1 */ \
        KERNELS_L1_MODE_PROXIMAL, /* l1_mode */ \
        0.0, /* maximum_norm */ \
        0.9, /* beta1 */ \
        0.99 /* beta2 */ \
    }

/** Options of RmsProp. */
struct kernels_rms_prop_options {
    /* sizeof(kernels_rms_prop_options). */
    size_t size;
    /* Step size, finite and at least 0. */
    double learning_rate;
    /* Strength of L2 in the convention (decay / 2) * |w|^2. Finite and at least 0; 0 for biases, as a rule. */
    double weight_decay;
    /* The action of weight_decay. */
    kernels_weight_decay_mode weight_decay_mode;
    /* Strength of L1, l1 * |w|. Finite and at least 0. */
    double l1;
    /* The action of l1; proximal unless said otherwise. */
    kernels_l1_mode l1_mode;
    /* The longest a row of a parameter (all that belongs to one entry of its first dimension; a vector is one
       row) may be after the step; longer ones are scaled to it (Srivastava et al., JMLR 2014). 0 for no limit. */
    double maximum_norm;
    /* Decay of the second moment (alpha), in [0, 1). */
    double second_moment_decay;
    /* Added to the square root of the second moment, finite and at least 0. */
    double epsilon;
    /* Share of the velocity that is kept, finite and at least 0. 0 keeps none. */
    double momentum;
    /* Divides by the standard deviation instead of the root of the second moment. */
    bool centered;
};

#define KERNELS_RMS_PROP_OPTIONS_INIT \
    { \
        sizeof(kernels_rms_prop_options), \
        0.01, /* learning_rate */ \
        0.0, /* weight_decay */ \
        KERNELS_WEIGHT_DECAY_MODE_COUPLED, /* weight_decay_mode */ \
        0.0, /* l1 */ \
        KERNELS_L1_MODE_PROXIMAL, /* l1_mode */ \
        0.0, /* maximum_norm */ \
        0.99, /* second_moment_decay */ \
        1E-08, /* epsilon */ \
        0.0, /* momentum */ \
        false /* centered */ \
    }

/**
 * Options of Sgd; weight decay is coupled unless said otherwise, which under plain SGD is the same as decoupled.
 */
struct kernels_sgd_options {
    /* sizeof(kernels_sgd_options). */
    size_t size;
    /* Step size, finite and at least 0. */
    double learning_rate;
    /* Strength of L2 in the convention (decay / 2) * |w|^2. Finite and at least 0; 0 for biases, as a rule. */
    double weight_decay;
    /* The action of weight_decay. */
    kernels_weight_decay_mode weight_decay_mode;
    /* Strength of L1, l1 * |w|. Finite and at least 0. */
    double l1;
    /* The action of l1; proximal unless said otherwise. */
    kernels_l1_mode l1_mode;
    /* The longest a row of a parameter (all that belongs to one entry of its first dimension; a vector is one
       row) may be after the step; longer ones are scaled to it (Srivastava et al., JMLR 2014). 0 for no limit. */
    double maximum_norm;
    /* Share of the velocity that is kept, finite and at least 0. 0 keeps none. */
    double momentum;
    /* The new gradient enters the velocity with 1 - dampening, except at the first step. Finite and at least 0. */
    double dampening;
    /* Looks ahead along the velocity; needs momentum and no dampening. */
    bool nesterov;
};

#define KERNELS_SGD_OPTIONS_INIT \
    { \
        sizeof(kernels_sgd_options), \
        0.0, /* learning_rate */ \
        0.0, /* weight_decay */ \
        KERNELS_WEIGHT_DECAY_MODE_COUPLED, /* weight_decay_mode */ \
        0.0, /* l1 */ \
        KERNELS_L1_MODE_PROXIMAL, /* l1_mode */ \
        0.0, /* maximum_norm */ \
        0.0, /* momentum */ \
        0.0, /* dampening */ \
        false /* nesterov */ \
    }

/**
 * Strengths of the penalties on one tensor, finite and at least 0; with both 0 the tensor is left alone and not
 * read.
 */
struct kernels_penalty_strength {
    /* Strength of |w|. */
    double l1;
    /* Strength of |w|^2 in the penalty's convention. */
    double l2;
};

/** Settings of Dropout; the default is inverted scaling of a whole tensor. */
struct kernels_dropout_options {
    /* sizeof(kernels_dropout_options). */
    size_t size;
    /* The place where dropout makes up for the dropped elements: training or inference. */
    kernels_dropout_scaling scaling;
    /* Index of the first element in the whole tensor of which the argument is a shard, so that the shards'
       masks together are the mask of the whole. */
    uint64_t global_start;
};

#define KERNELS_DROPOUT_OPTIONS_INIT \
    { \
        sizeof(kernels_dropout_options), \
        KERNELS_DROPOUT_SCALING_INVERTED, /* scaling */ \
        0 /* global_start */ \
    }

/**
 * How images are read, normalized and stored; the default is bilinear, zeros outside, no normalization, channels
 * first.
 */
struct kernels_augment_options {
    /* sizeof(kernels_augment_options). */
    size_t size;
    /* The place of the channels in the input. */
    kernels_tensor_layout layout;
    /* Whether output_layout is given. */
    bool has_output_layout;
    /* The place of the channels in the output; NULL for that of the input. */
    kernels_tensor_layout output_layout;
    /* How a place between pixels is read. */
    kernels_image_interpolation interpolation;
    /* What lies outside of the image. */
    kernels_image_border border;
    /* The value outside for KERNELS_IMAGE_BORDER_CONSTANT, in the units of the input: 0 to 255 for bytes. */
    double fill;
    /* Where normalized coordinates -1 and 1 lie: in the middle of the first and of the last pixel, or, when
       false, at the outer edges of these. Reflection is about the same places. */
    bool align_corners;
    /* What is subtracted from each channel, in units of white (bytes have white at 255, floating-point images
       at 1): one number for each of up to four channels, or one for all; NULL for 0. */
    const double *mean;
    /* How many mean has. */
    int64_t mean_count;
    /* What each channel is divided by, as mean; NULL for 1. */
    const double *deviation;
    /* How many deviation has. */
    int64_t deviation_count;
    /* The value of erased pixels, in the units of the output: 0 is the mean. */
    double erased;
    /* The number of the batch's first sample where no numbers are given. */
    uint64_t first_sample;
};

#define KERNELS_AUGMENT_OPTIONS_INIT \
    { \
        sizeof(kernels_augment_options), \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        false, /* has_output_layout */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* output_layout */ \
        KERNELS_IMAGE_INTERPOLATION_BILINEAR, /* interpolation */ \
        KERNELS_IMAGE_BORDER_CONSTANT, /* border */ \
        0.0, /* fill */ \
        false, /* align_corners */ \
        NULL, /* mean */ \
        0, /* mean_count */ \
        NULL, /* deviation */ \
        0, /* deviation_count */ \
        0.0, /* erased */ \
        0 /* first_sample */ \
    }

/** Settings of AttentionDropout; the default is neither causal nor a shard. */
struct kernels_attention_dropout_options {
    /* sizeof(kernels_attention_dropout_options). */
    size_t size;
    /* True when query i sees only keys k <= i + keys - queries: the mask is aligned at the bottom right, so
       that the last query sees all keys. With more queries than keys the first ones see none. */
    bool causal;
    /* Index of the first score in the whole tensor of which the argument is a shard (of the batch, or of the
       heads of one batch entry), so that the shards' masks together are the mask of the whole. */
    uint64_t global_start;
};

#define KERNELS_ATTENTION_DROPOUT_OPTIONS_INIT \
    { \
        sizeof(kernels_attention_dropout_options), \
        false, /* causal */ \
        0 /* global_start */ \
    }

/** Rows and columns around a map. A single number counts for all sides. */
struct kernels_padding2d {
    /* Rows before the first. */
    int64_t top;
    /* Rows after the last. */
    int64_t bottom;
    /* Columns before the first. */
    int64_t left;
    /* Columns after the last. */
    int64_t right;
};

/** Bounds that a number is drawn between. */
struct kernels_augment_range {
    /* The least. */
    double low;
    /* The largest; no less than low. */
    double high;
};

/** A number for each axis of a map, such as the size of a window or its stride. A single number counts for both. */
struct kernels_size2d {
    /* Along the rows' axis. */
    int64_t height;
    /* Along the columns' axis. */
    int64_t width;
};

/** What is drawn for each sample of Augment, in the order in which an image sees it; by default nothing. */
struct kernels_augment_policy {
    /* sizeof(kernels_augment_policy). */
    size_t size;
    /* What part of the image is taken. */
    kernels_augment_crop crop;
    /* Pixels around the input that a KERNELS_AUGMENT_CROP_WINDOW may reach into. */
    kernels_padding2d padding;
    /* The share of the image's area that a KERNELS_AUGMENT_CROP_RESIZED window has. */
    kernels_augment_range area;
    /* Width by height of a KERNELS_AUGMENT_CROP_RESIZED window, uniform in its logarithm. */
    kernels_augment_range aspect;
    /* The probability that left and right change places. */
    double horizontal_flip;
    /* The probability that top and bottom change places. */
    double vertical_flip;
    /* To the right, in pixels of the output. */
    kernels_augment_range shift_x;
    /* Downwards, in pixels of the output. */
    kernels_augment_range shift_y;
    /* Whether shifts are whole pixels, each as likely; the bounds are then whole, too. */
    bool whole_shifts;
    /* Counterclockwise, in degrees. */
    kernels_augment_range rotation;
    /* Enlargement. */
    kernels_augment_range scale;
    /* Shear along rows, in degrees. */
    kernels_augment_range shear_x;
    /* Shear along columns, in degrees. */
    kernels_augment_range shear_y;
    /* A list of ops by chance, after all above and before the colours below; NULL for none. */
    const kernels_auto_augment_policy *automatic;
    /* Factor of brightness. */
    kernels_augment_range brightness;
    /* Factor of the distance from the image's mean grey. */
    kernels_augment_range contrast;
    /* Factor of the distance from the pixel's grey. */
    kernels_augment_range saturation;
    /* Turn of the hue, in parts of a circle, from -0.5 to 0.5. */
    kernels_augment_range hue;
    /* Whether brightness, contrast, saturation and hue come in a random order. */
    bool shuffles_colors;
    /* The probability that only posterize_bits of eight bits are left. */
    double posterize;
    /* Bits that are left, 1 to 8. */
    int32_t posterize_bits;
    /* The probability that values from solarize_threshold on are inverted. */
    double solarize;
    /* A level, 0 to 256, of 255. */
    double solarize_threshold;
    /* The probability of sharpness_factor. */
    double sharpness;
    /* Factor of the distance from the mean of the neighbours. */
    kernels_augment_range sharpness_factor;
    /* The probability that each channel is stretched from black to white. */
    double autocontrast;
    /* The probability that each channel's levels become equally likely. */
    double equalize;
    /* The probability that a box is erased. */
    double cutout;
    /* Rows and columns of the box, before it is clipped at the borders. */
    kernels_size2d cutout_size;
};

#define KERNELS_AUGMENT_POLICY_INIT \
    { \
        sizeof(kernels_augment_policy), \
        KERNELS_AUGMENT_CROP_CENTER, /* crop */ \
        {0, 0, 0, 0}, /* padding */ \
        {0.08, 1.0}, /* area */ \
        {0.75, 1.3333333333333333}, /* aspect */ \
        0.0, /* horizontal_flip */ \
        0.0, /* vertical_flip */ \
        {0.0, 0.0}, /* shift_x */ \
        {0.0, 0.0}, /* shift_y */ \
        false, /* whole_shifts */ \
        {0.0, 0.0}, /* rotation */ \
        {1.0, 1.0}, /* scale */ \
        {0.0, 0.0}, /* shear_x */ \
        {0.0, 0.0}, /* shear_y */ \
        NULL, /* automatic */ \
        {1.0, 1.0}, /* brightness */ \
        {1.0, 1.0}, /* contrast */ \
        {1.0, 1.0}, /* saturation */ \
        {0.0, 0.0}, /* hue */ \
        false, /* shuffles_colors */ \
        0.0, /* posterize */ \
        4, /* posterize_bits */ \
        0.0, /* solarize */ \
        128.0, /* solarize_threshold */ \
        0.0, /* sharpness */ \
        {1.0, 1.0}, /* sharpness_factor */ \
        0.0, /* autocontrast */ \
        0.0, /* equalize */ \
        0.0, /* cutout */ \
        {0, 0} /* cutout_size */ \
    }

/** A random list of ops for each sample. */
struct kernels_auto_augment_policy {
    /* sizeof(kernels_auto_augment_policy). */
    size_t size;
    /* Ops of a list, drawn with replacement. */
    int32_t ops;
    /* Whether magnitude is given. */
    bool has_magnitude;
    /* The bin of all of them, or NULL for one of its own for each. */
    int32_t magnitude;
    /* Bins from no effect to the greatest. */
    int32_t bins;
    /* Which ops, and how strong the greatest bin is. */
    kernels_augment_space space;
};

#define KERNELS_AUTO_AUGMENT_POLICY_INIT \
    { \
        sizeof(kernels_auto_augment_policy), \
        2, /* ops */ \
        true, /* has_magnitude */ \
        9, /* magnitude */ \
        31, /* bins */ \
        KERNELS_AUGMENT_SPACE_RAND_AUGMENT /* space */ \
    }

/**
 * Settings of AveragePool2d; the default is windows side by side over [batch, channels, height, width], divided by
 * their elements, those in the padding included.
 */
struct kernels_average_pool2d_options {
    /* sizeof(kernels_average_pool2d_options). */
    size_t size;
    /* Whether stride is given. */
    bool has_stride;
    /* From one window to the next; NULL for the window's own size. */
    kernels_size2d stride;
    /* Padding, of zeros. */
    kernels_padding2d padding;
    /* Whether dilation is given. */
    bool has_dilation;
    /* From one element of a window to the next; NULL for 1. */
    kernels_size2d dilation;
    /* Rounds the number of windows up, so that the last may hang over the end. One that starts beyond the map
       is left out. */
    bool ceil_mode;
    /* True to divide by the elements of a window that lie in the map; false, as PyTorch does by default, to
       count those in its padding as well. What hangs over the padding counts in neither. */
    bool excludes_padding;
    /* Whether divisor is given. */
    bool has_divisor;
    /* What every window is divided by, whatever it counts; NULL for the count. Finite and not 0. */
    double divisor;
    /* The place of the channels. */
    kernels_tensor_layout layout;
};

#define KERNELS_AVERAGE_POOL2D_OPTIONS_INIT \
    { \
        sizeof(kernels_average_pool2d_options), \
        false, /* has_stride */ \
        {0, 0}, /* stride */ \
        {0, 0, 0, 0}, /* padding */ \
        false, /* has_dilation */ \
        {0, 0}, /* dilation */ \
        false, /* ceil_mode */ \
        false, /* excludes_padding */ \
        false, /* has_divisor */ \
        0.0, /* divisor */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST /* layout */ \
    }

/** Settings of BatchNorm, BatchNormRelu and BatchNormAddRelu; the default has PyTorch's values and conventions. */
struct kernels_batch_norm_options {
    /* sizeof(kernels_batch_norm_options). */
    size_t size;
    /* The place of the channels. */
    kernels_tensor_layout layout;
    /* Added to the variance; finite and more than 0. Default 1e-5. */
    double epsilon;
    /* Momentum of the running statistics, in [0, 1]; momentum_weighs says of what. Default 0.1. A cumulative
       average is 1 / k in call number k = 1, 2, ... */
    double momentum;
    /* The value that momentum is the weight of. */
    kernels_momentum_weight momentum_weighs;
    /* The estimate that the running variance averages. */
    kernels_variance_estimate running_variance;
    /* Blocks of maps that are dropped in the same pass, in training; for BatchNormRelu and BatchNormAddRelu
       alone. Null for none, as by default. */
    const kernels_batch_norm_drop_block_options *drop_block;
    /* For dropout in the same pass (BatchNormRelu): index of the first element in the whole tensor of which the
       arguments are a shard; with drop_block that of a sample. Statistics are the shard's own. */
    uint64_t global_start;
    /* How many places of each sample count, from its first on, shape [batch]; NULL when all do, as by default.
       The places of a sample are those of its spatial axes in order: time steps of a padded sequence; 0 leaves
       a sample out. What does not count is not looked at, is no part of statistics and gradients, and is 0 in
       outputs and gradients. A number beyond the places is all of them, one below 0 none. Statistics of a
       channel without any place that counts are 0. */
    const kernels_tensor *lengths;
};

#define KERNELS_BATCH_NORM_OPTIONS_INIT \
    { \
        sizeof(kernels_batch_norm_options), \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        1E-05, /* epsilon */ \
        0.1, /* momentum */ \
        KERNELS_MOMENTUM_WEIGHT_NEW_VALUE, /* momentum_weighs */ \
        KERNELS_VARIANCE_ESTIMATE_UNBIASED, /* running_variance */ \
        NULL, /* drop_block */ \
        0, /* global_start */ \
        NULL /* lengths */ \
    }

/**
 * DropBlock in the pass of BatchNormRelu or BatchNormAddRelu: blocks of the maps that the ReLU gives are dropped to
 * +0, and the rest is multiplied by cells / kept cells. The mask is that of DropBlock with the same settings and
 * key; nothing is stored for it, and backward draws it again.
 */
struct kernels_batch_norm_drop_block_options {
    /* sizeof(kernels_batch_norm_drop_block_options). */
    size_t size;
    /* Cells of a block along each spatial axis, or one size for all, each at least 1; one larger than the map
       is clamped to it. */
    const int64_t *block_size;
    /* How many block_size has. */
    int64_t block_size_count;
    /* How much to drop. */
    const kernels_drop_block_rate *rate;
    /* Random key of the blocks, one offset for each call; another than dropout's, where there is both. Backward
       takes the key of its forward call. */
    const kernels_key *key;
    /* Whether the channels of a sample share one mask. */
    bool shared_channels;
    /* How the scale of the kept cells is found: one for the call, so KERNELS_DROP_BLOCK_NORMALIZATION_BATCH,
       the default, KERNELS_DROP_BLOCK_NORMALIZATION_EXPECTED or KERNELS_DROP_BLOCK_NORMALIZATION_NONE. */
    kernels_drop_block_normalization normalization;
};

#define KERNELS_BATCH_NORM_DROP_BLOCK_OPTIONS_INIT \
    { \
        sizeof(kernels_batch_norm_drop_block_options), \
        NULL, /* block_size */ \
        0, /* block_size_count */ \
        NULL, /* rate */ \
        NULL, /* key */ \
        false, /* shared_channels */ \
        KERNELS_DROP_BLOCK_NORMALIZATION_BATCH /* normalization */ \
    }

/** The rate of drop-block. */
struct kernels_drop_block_rate {
    /* What the value means. */
    kernels_drop_block_rule rule;
    /* A probability, in [0, 1]. */
    double value;
};

/** Settings of BiasDropoutResidual; the default drops no rows and is no shard. */
struct kernels_bias_dropout_residual_options {
    /* sizeof(kernels_bias_dropout_residual_options). */
    size_t size;
    /* Probability to drop a whole row (drop path, stochastic depth per example), in [0, 1]. Kept rows are
       scaled by the realised reciprocal. */
    double row_drop_probability;
    /* Index of the first row in the whole tensor of which the arguments are a shard, so that the shards' masks
       together are the mask of the whole. */
    uint64_t global_start;
};

#define KERNELS_BIAS_DROPOUT_RESIDUAL_OPTIONS_INIT \
    { \
        sizeof(kernels_bias_dropout_residual_options), \
        0.0, /* row_drop_probability */ \
        0 /* global_start */ \
    }

/** Settings of ChannelDropout; the default is [batch, channels, ...], a whole tensor. */
struct kernels_channel_dropout_options {
    /* sizeof(kernels_channel_dropout_options). */
    size_t size;
    /* The place of the channels. The same channels are dropped in either layout. */
    kernels_tensor_layout layout;
    /* Index of the first unit (example times channels plus channel) in the whole tensor of which the argument
       is a shard. */
    uint64_t global_start;
};

#define KERNELS_CHANNEL_DROPOUT_OPTIONS_INIT \
    { \
        sizeof(kernels_channel_dropout_options), \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        0 /* global_start */ \
    }

/**
 * Settings of Conv2d and Conv2dTranspose; the default is stride 1, no padding, one group, over [batch, channels,
 * height, width].
 */
struct kernels_conv2d_options {
    /* sizeof(kernels_conv2d_options). */
    size_t size;
    /* Whether stride is given. */
    bool has_stride;
    /* From one place of the filter to the next, at least 1; NULL for 1. */
    kernels_size2d stride;
    /* Zeros around the map, at least 0. They take part in the arithmetic: 0 times infinity is NaN. */
    kernels_padding2d padding;
    /* Whether dilation is given. */
    bool has_dilation;
    /* From one tap of the filter to the next, at least 1; NULL for 1. */
    kernels_size2d dilation;
    /* Whether groups is given. */
    bool has_groups;
    /* Groups of channels, at least 1; NULL for 1. The outputs of each see its inputs alone. As many as there
       are input channels make a depthwise convolution. */
    int64_t groups;
    /* The layout of the maps and of the filter: [batch, channels, height, width] with [outputs, inputs, height,
       width], or [batch, height, width, channels] with [outputs, height, width, inputs]. */
    kernels_tensor_layout layout;
    /* How the output and the gradients of input and filter may be made. */
    kernels_conv2d_algorithm algorithm;
};

#define KERNELS_CONV2D_OPTIONS_INIT \
    { \
        sizeof(kernels_conv2d_options), \
        false, /* has_stride */ \
        {0, 0}, /* stride */ \
        {0, 0, 0, 0}, /* padding */ \
        false, /* has_dilation */ \
        {0, 0}, /* dilation */ \
        false, /* has_groups */ \
        0, /* groups */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        KERNELS_CONV2D_ALGORITHM_DIRECT /* algorithm */ \
    }

/**
 * The target of each row: labels; labels, other_labels and shares as mixup and CutMix make them; or probabilities,
 * with labels only to say which rows are ignored.
 */
struct kernels_cross_entropy_targets {
    /* INT32, one for each row, in [0, classes) or the ignore index. */
    const kernels_tensor *labels;
    /* INT32, the second label of each row. */
    const kernels_tensor *other_labels;
    /* The share of the first label: FLOAT32, or FLOAT64 for FLOAT64 logits. */
    const kernels_tensor *shares;
    /* A probability for each class, in the shape and type of the logits. */
    const kernels_tensor *probabilities;
};

/** Settings of CrossEntropy; the default is the plain loss of each row. */
struct kernels_cross_entropy_options {
    /* sizeof(kernels_cross_entropy_options). */
    size_t size;
    /* Epsilon, in [0, 1]: how much of the target is spread over the classes. */
    double smoothing;
    /* The classes over which smoothing spreads it. */
    kernels_label_smoothing smoothing_convention;
    /* Whether ignore_index is given. */
    bool has_ignore_index;
    /* The label of rows that do not count: loss 0, gradient +0, not part of the normalizer. Any value, inside
       the classes or outside. */
    int32_t ignore_index;
    /* The reduction of the rows' losses. */
    kernels_loss_reduction reduction;
    /* The mean of nothing. */
    kernels_empty_mean empty_mean;
    /* Alpha of the z-loss, alpha * (log of the sum of exp z)^2, which keeps logits near a normalised
       log-probability; finite and at least 0. */
    double z_loss;
    /* Beta of the confidence penalty -beta * H(p), which rewards entropy (Pereyra et al., 2017); finite and at
       least 0. */
    double confidence_penalty;
    /* Whether entropy_threshold is given. */
    bool has_entropy_threshold;
    /* Gamma: the penalty is beta * max(0, Gamma - H(p)) instead, so that only rows of less entropy (in nats)
       are pushed. Finite. */
    double entropy_threshold;
};

#define KERNELS_CROSS_ENTROPY_OPTIONS_INIT \
    { \
        sizeof(kernels_cross_entropy_options), \
        0.0, /* smoothing */ \
        KERNELS_LABEL_SMOOTHING_ALL_CLASSES, /* smoothing_convention */ \
        false, /* has_ignore_index */ \
        0, /* ignore_index */ \
        KERNELS_LOSS_REDUCTION_NONE, /* reduction */ \
        KERNELS_EMPTY_MEAN_ZERO, /* empty_mean */ \
        0.0, /* z_loss */ \
        0.0, /* confidence_penalty */ \
        false, /* has_entropy_threshold */ \
        0.0 /* entropy_threshold */ \
    }

/**
 * Settings of kernels_mixup_draw and kernels_cutmix_draw; by default every row has a lambda of its own and a
 * partner of any class from the batch.
 */
struct kernels_mixing_options {
    /* sizeof(kernels_mixing_options). */
    size_t size;
    /* What shares one lambda (and one box). */
    kernels_mixing_mode mode;
    /* Probability to leave a row, or the batch, as it is: share 1 and an empty box. It is realised in steps of
       2^-16, as a kernels_keep_threshold. */
    double skip_probability;
    /* Whether partners are of the row's own class: the permutation is one within each class. A row that is
       alone in its class is its own partner. */
    bool same_class;
    /* Rows of a data set that the partners come from, 0 where they come from the batch. Sample numbers are then
       rows of the data set, labels are its labels, and a sample's partner depends on no batch at all. */
    int64_t pool_rows;
    /* Number of the first row's sample where no sample numbers are given. */
    uint64_t first_sample;
};

#define KERNELS_MIXING_OPTIONS_INIT \
    { \
        sizeof(kernels_mixing_options), \
        KERNELS_MIXING_MODE_SAMPLE, /* mode */ \
        0.0, /* skip_probability */ \
        false, /* same_class */ \
        0, /* pool_rows */ \
        0 /* first_sample */ \
    }

/** Settings of Cutout; by default one hole of zeros in every image, channels first. */
struct kernels_cutout_options {
    /* sizeof(kernels_cutout_options). */
    size_t size;
    /* Holes in an image beyond the first. */
    int32_t more_holes;
    /* What stands in the holes. The data's mean is 0 where images are normalised. */
    double fill;
    /* Probability to leave a sample as it is, in steps of 2^-16. */
    double skip_probability;
    /* Where the channels are. The same pixels are cut in either layout. */
    kernels_tensor_layout layout;
    /* Number of the first image's sample where no sample numbers are given. */
    uint64_t first_sample;
};

#define KERNELS_CUTOUT_OPTIONS_INIT \
    { \
        sizeof(kernels_cutout_options), \
        0, /* more_holes */ \
        0.0, /* fill */ \
        0.0, /* skip_probability */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        0 /* first_sample */ \
    }

/** What DifferentiableAugment draws for each sample, in the order in which an image sees it; by default nothing. */
struct kernels_differentiable_policy {
    /* sizeof(kernels_differentiable_policy). */
    size_t size;
    /* What is added to an image. */
    kernels_augment_range brightness;
    /* The factor of the distances from the mean of a pixel's channels. One channel is its own mean: it is left
       as it is. */
    kernels_augment_range saturation;
    /* The factor of the distances from the image's mean. */
    kernels_augment_range contrast;
    /* The share of height and width by which an image is shifted at most, to whole pixels: up to floor(side *
       share + 1/2) either way, with zeros behind it. */
    double translation;
    /* The share of height and width of a box that becomes 0: floor(side * share + 1/2) pixels, about a uniform
       pixel (or, where that is even, a uniform edge of a pixel or of the image), clipped at the borders. */
    double cutout;
    /* The probability that a transform takes place, of each transform and sample on its own; ADA's p. */
    double probability;
};

#define KERNELS_DIFFERENTIABLE_POLICY_INIT \
    { \
        sizeof(kernels_differentiable_policy), \
        {0.0, 0.0}, /* brightness */ \
        {1.0, 1.0}, /* saturation */ \
        {1.0, 1.0}, /* contrast */ \
        0.0, /* translation */ \
        0.0, /* cutout */ \
        1.0 /* probability */ \
    }

/** Settings of DifferentiableAugment; by default channels first, and samples numbered from 0. */
struct kernels_differentiable_augment_options {
    /* sizeof(kernels_differentiable_augment_options). */
    size_t size;
    /* Where the channels are. The same pixels are shifted and cut in either layout. */
    kernels_tensor_layout layout;
    /* Number of the first image's sample where no sample numbers are given. */
    uint64_t first_sample;
};

#define KERNELS_DIFFERENTIABLE_AUGMENT_OPTIONS_INIT \
    { \
        sizeof(kernels_differentiable_augment_options), \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        0 /* first_sample */ \
    }

/**
 * Settings of DropBlock; the default drops each channel's blocks on its own, to zero, and normalises over the
 * batch.
 */
struct kernels_drop_block_options {
    /* sizeof(kernels_drop_block_options). */
    size_t size;
    /* Where the channels are. The same cells of the same channels are dropped in either layout. */
    kernels_tensor_layout layout;
    /* Whether the channels of a sample share one mask. The paper's authors found a mask of its own for each to
       work better. */
    bool shared_channels;
    /* How the scale of the kept cells is found. */
    kernels_drop_block_normalization normalization;
    /* What stands in the dropped blocks. */
    kernels_drop_block_fill fill;
    /* Index of the first sample in the whole batch of which the argument is a shard, so that the shards' masks
       together are the mask of the whole. */
    uint64_t global_start;
};

#define KERNELS_DROP_BLOCK_OPTIONS_INIT \
    { \
        sizeof(kernels_drop_block_options), \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        false, /* shared_channels */ \
        KERNELS_DROP_BLOCK_NORMALIZATION_BATCH, /* normalization */ \
        KERNELS_DROP_BLOCK_FILL_ZERO, /* fill */ \
        0 /* global_start */ \
    }

/** Settings of DropConnect; the default is inverted scaling of a whole batch. */
struct kernels_drop_connect_options {
    /* sizeof(kernels_drop_connect_options). */
    size_t size;
    /* The place where the layer makes up for the dropped weights: training or inference. Inference takes the
       scaling of training. */
    kernels_dropout_scaling scaling;
    /* Number of the first example in the whole batch of which the argument is a shard, so that the shards'
       masks together are the mask of the whole. */
    uint64_t global_start;
};

#define KERNELS_DROP_CONNECT_OPTIONS_INIT \
    { \
        sizeof(kernels_drop_connect_options), \
        KERNELS_DROPOUT_SCALING_INVERTED, /* scaling */ \
        0 /* global_start */ \
    }

/** Settings of EmbeddingDropout; the default decides about word types of the whole batch. */
struct kernels_embedding_dropout_options {
    /* sizeof(kernels_embedding_dropout_options). */
    size_t size;
    /* What is decided about. */
    kernels_embedding_dropout_scope scope;
    /* Whether padding_index is given. */
    bool has_padding_index;
    /* An id whose row never receives a gradient. In the forward pass it is gathered and dropped like any other. */
    int32_t padding_index;
    /* For a shard of the ids, where it starts in the whole: its first sequence for the scope of sequences, its
       first position for that of positions. */
    uint64_t global_start;
};

#define KERNELS_EMBEDDING_DROPOUT_OPTIONS_INIT \
    { \
        sizeof(kernels_embedding_dropout_options), \
        KERNELS_EMBEDDING_DROPOUT_SCOPE_BATCH, /* scope */ \
        false, /* has_padding_index */ \
        0, /* padding_index */ \
        0 /* global_start */ \
    }

/** Settings of MatMul; by default no argument is transposed. */
struct kernels_mat_mul_options {
    /* sizeof(kernels_mat_mul_options). */
    size_t size;
    /* a is stored [k, m]. */
    bool transpose_a;
    /* b is stored [n, k]. */
    bool transpose_b;
};

#define KERNELS_MAT_MUL_OPTIONS_INIT \
    { \
        sizeof(kernels_mat_mul_options), \
        false, /* transpose_a */ \
        false /* transpose_b */ \
    }

/** Settings of MaxPool2d; the default is windows side by side over [batch, channels, height, width]. */
struct kernels_max_pool2d_options {
    /* sizeof(kernels_max_pool2d_options). */
    size_t size;
    /* Whether stride is given. */
    bool has_stride;
    /* From one window to the next; NULL for the window's own size. */
    kernels_size2d stride;
    /* Padding that no window takes an element from, as if it were -infinity. */
    kernels_padding2d padding;
    /* Whether dilation is given. */
    bool has_dilation;
    /* From one element of a window to the next; NULL for 1. */
    kernels_size2d dilation;
    /* Rounds the number of windows up, so that the last may hang over the end. One that starts beyond the map
       is left out. */
    bool ceil_mode;
    /* The place of the channels. */
    kernels_tensor_layout layout;
};

#define KERNELS_MAX_POOL2D_OPTIONS_INIT \
    { \
        sizeof(kernels_max_pool2d_options), \
        false, /* has_stride */ \
        {0, 0}, /* stride */ \
        {0, 0, 0, 0}, /* padding */ \
        false, /* has_dilation */ \
        {0, 0}, /* dilation */ \
        false, /* ceil_mode */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST /* layout */ \
    }

/** Settings of MinibatchDeviation; the default has StyleGAN's values, channels first. */
struct kernels_minibatch_deviation_options {
    /* sizeof(kernels_minibatch_deviation_options). */
    size_t size;
    /* Added to variances before their roots are taken; finite and more than 0. Default 1e-8. */
    double epsilon;
    /* The place of the channels. */
    kernels_tensor_layout layout;
};

#define KERNELS_MINIBATCH_DEVIATION_OPTIONS_INIT \
    { \
        sizeof(kernels_minibatch_deviation_options), \
        1E-08, /* epsilon */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST /* layout */ \
    }

/** Settings of RandomErase; by default one rectangle of zeros in every image, channels first. */
struct kernels_random_erase_options {
    /* sizeof(kernels_random_erase_options). */
    size_t size;
    /* Rectangles in an image beyond the first; the area is divided among them. */
    int32_t more_boxes;
    /* What stands in the rectangles. The data's mean is 0 where images are normalised. */
    double fill;
    /* Above 0, normal numbers of this standard deviation stand in the rectangles, one for each element, instead
       of fill. */
    double noise_deviation;
    /* Probability to leave a sample as it is, in steps of 2^-16; the papers use 0.5. */
    double skip_probability;
    /* Whether the first try is taken, its sides cut to the image's, instead of the first of ten whose sides are
       shorter than the image's. */
    bool clip_sides;
    /* Where the channels are. The same pixels are erased in either layout. */
    kernels_tensor_layout layout;
    /* Number of the first image's sample where no sample numbers are given. */
    uint64_t first_sample;
};

#define KERNELS_RANDOM_ERASE_OPTIONS_INIT \
    { \
        sizeof(kernels_random_erase_options), \
        0, /* more_boxes */ \
        0.0, /* fill */ \
        0.0, /* noise_deviation */ \
        0.0, /* skip_probability */ \
        false, /* clip_sides */ \
        KERNELS_TENSOR_LAYOUT_CHANNELS_FIRST, /* layout */ \
        0 /* first_sample */ \
    }

/** Settings of SpectralNorm; by default one step of the power iteration in each call. */
struct kernels_spectral_norm_options {
    /* sizeof(kernels_spectral_norm_options). */
    size_t size;
    /* Steps of the power iteration beyond the first. */
    int32_t more_iterations;
    /* The least length by which a vector is divided; finite and more than 0. Default 1e-12. */
    double epsilon;
};

#define KERNELS_SPECTRAL_NORM_OPTIONS_INIT \
    { \
        sizeof(kernels_spectral_norm_options), \
        0, /* more_iterations */ \
        1E-12 /* epsilon */ \
    }

/** Settings of StochasticDepth; the default decides for each row, scales in training and has no ReLU. */
struct kernels_stochastic_depth_options {
    /* sizeof(kernels_stochastic_depth_options). */
    size_t size;
    /* The unit of one decision. */
    kernels_stochastic_depth_mode mode;
    /* The place where the op makes up for the dropped branches: training or inference. The paper's way is
       KERNELS_DROPOUT_SCALING_ORIGINAL. */
    kernels_dropout_scaling scaling;
    /* True when the sum goes through a ReLU. */
    bool relu;
    /* Index of the first row in the whole batch of which the argument is a shard. */
    uint64_t global_start;
};

#define KERNELS_STOCHASTIC_DEPTH_OPTIONS_INIT \
    { \
        sizeof(kernels_stochastic_depth_options), \
        KERNELS_STOCHASTIC_DEPTH_MODE_ROW, /* mode */ \
        KERNELS_DROPOUT_SCALING_INVERTED, /* scaling */ \
        false, /* relu */ \
        0 /* global_start */ \
    }

/** Settings of VariationalDropout; the default is [time, batch, features], a whole batch. */
struct kernels_variational_dropout_options {
    /* sizeof(kernels_variational_dropout_options). */
    size_t size;
    /* The axis of time. */
    kernels_sequence_layout layout;
    /* Index of the first decision in the whole batch of which the argument is a shard: its first sequence times
       features. */
    uint64_t global_start;
};

#define KERNELS_VARIATIONAL_DROPOUT_OPTIONS_INIT \
    { \
        sizeof(kernels_variational_dropout_options), \
        KERNELS_SEQUENCE_LAYOUT_TIME_FIRST, /* layout */ \
        0 /* global_start */ \
    }

/** -lambda * alpha of SELU: the value its negative branch tends to. */
#define KERNELS_ALPHA_DROPOUT_SATURATION_VALUE -1.7580993408473766

/**
 * Numbers of a row of the table: the map (6), the count of colour ops, their codes (8) and values (8), the box (4).
 */
#define KERNELS_AUGMENT_TABLE_WIDTH 27

/** Colour ops of a row. */
#define KERNELS_AUGMENT_MOST_COLORS 8

/** Elements that one block serves: eight lanes of 16 bits. */
#define KERNELS_PHILOX_LANES_PER_BLOCK 8

/** The most neighbours that can be asked for. */
#define KERNELS_SAME_CLASS_NEIGHBOURS_MOST_NEIGHBOURS 16

/** Rows of a record of moments. */
#define KERNELS_SYNC_BATCH_NORM_MOMENT_ROWS 5

/** Rows of a record of gradients. */
#define KERNELS_SYNC_BATCH_NORM_GRADIENT_ROWS 3

/* --- Library ---------------------------------------------------------------------------------------------------- */

/* Errors, versions, and the arithmetic of keys and probabilities. */

/**
 * What was wrong with the last call of this thread that failed: op, argument, value and shape, in UTF-8. Valid
 * until the thread's next failure, and empty before its first.
 */
KERNELS_API const char *kernels_last_error(void);

/**
 * The name of a status in capitals, without KERNELS_STATUS_; "UNKNOWN" for other numbers. A constant.
 * @param status Any number.
 */
KERNELS_API const char *kernels_status_name(kernels_status status);

/** KERNELS_VERSION of the library. */
KERNELS_API int32_t kernels_version(void);

/**
 * What a drop probability becomes: an element is kept iff its 16 random bits are below the threshold.
 * @param drop_probability In [0, 1].
 * @param threshold Gets the threshold, in [0, 65536].
 * @param realised Gets the probability that is really dropped with: 1 - threshold / 65536.
 * @param scale Gets the factor of inverted scaling: 65536 / threshold, or 0.
 */
KERNELS_API kernels_status kernels_keep_threshold(
    double drop_probability, uint32_t *threshold, double *realised, double *scale);

/**
 * A key whose bits have nothing to do with those of the key it comes from, nor of other indices.
 * @param key A key of the host.
 * @param index Which one.
 * @param derived Gets the key.
 */
KERNELS_API kernels_status kernels_key_derive(const kernels_key *key, uint64_t index, kernels_key *derived);

/* --- Device ----------------------------------------------------------------------------------------------------- */

/* Devices: cpu, which is always there, opencl:N and cuda:N. */

/**
 * How many devices this machine could have, with those that are missing and the reason why.
 * @param count Gets the number.
 */
KERNELS_API kernels_status kernels_device_count(int32_t *count);

/**
 * One of the devices that this machine could have.
 * @param index In [0, count).
 * @param info Gets what is known; its size is set.
 */
KERNELS_API kernels_status kernels_device_describe(int32_t index, kernels_device_info *info);

/**
 * Opens a device. On CUDA it uses the primary context, as other libraries do.
 * @param id (optional) cpu, opencl:N or cuda:N; NULL for the first CUDA GPU, else the first OpenCL GPU, else
 *     the CPU.
 * @param device Gets the handle.
 */
KERNELS_API kernels_status kernels_device_open(const char *id, kernels_device **device);

/**
 * A device over an OpenCL context of the caller, so that its cl_mem and queues can be used. It is retained.
 * @param context The cl_context.
 * @param cl_device The cl_device_id, one of the context's devices.
 * @param device Gets the handle.
 */
KERNELS_API kernels_status kernels_device_open_opencl(void *context, void *cl_device, kernels_device **device);

/**
 * What is known about an open device.
 * @param device The device.
 * @param info Gets it; its size is set.
 */
KERNELS_API kernels_status kernels_device_get_info(kernels_device *device, kernels_device_info *info);

/**
 * Lets go of a device: its streams take no more work. Its native context goes with the last object made from it.
 * @param device (optional) The device.
 */
KERNELS_API kernels_status kernels_device_free(kernels_device *device);

/* --- Memory ----------------------------------------------------------------------------------------------------- */

/* Memory of a device, for callers that have no allocator of their own. */

/**
 * Allocates memory, not initialised, on a boundary of at least 64 bytes.
 * @param device The device.
 * @param bytes How much.
 * @param memory Gets the handle, to be set in tensors or asked for its address.
 */
KERNELS_API kernels_status kernels_memory_allocate(kernels_device *device, uint64_t bytes, kernels_memory **memory);

/**
 * The address of memory, a CUdeviceptr or a cl_mem, valid until it is freed: for other libraries and for data of
 * tensors.
 * @param memory The memory.
 * @param address Gets the address.
 */
KERNELS_API kernels_status kernels_memory_address(kernels_memory *memory, void **address);

/**
 * Frees memory once no queued work and no graph uses it.
 * @param memory (optional) The memory.
 */
KERNELS_API kernels_status kernels_memory_free(kernels_memory *memory);

/* --- Stream ----------------------------------------------------------------------------------------------------- */

/* Streams: queues of work. Work of one stream runs in the order of the calls; different streams may overlap. */

/**
 * Creates a queue.
 * @param device The device.
 * @param stream Gets the handle.
 */
KERNELS_API kernels_status kernels_stream_create(kernels_device *device, kernels_stream **stream);

/**
 * A stream over a queue of the caller: a CUstream of the device's primary context (0 or 1 is the legacy default
 * stream, 2 the default stream of the calling thread), or a cl_command_queue of the device's context. It can be
 * wrapped anew for each call: scratch memory stays with the device, and freeing the handle waits for nothing. The
 * CPU has no queues, so there it is NOT_SUPPORTED.
 * @param device The device.
 * @param native (optional) The queue.
 * @param stream Gets the handle.
 */
KERNELS_API kernels_status kernels_stream_wrap(kernels_device *device, void *native, kernels_stream **stream);

/**
 * The queue behind a stream: a CUstream, a cl_command_queue, or NULL on the CPU. Valid until the stream is freed.
 * @param stream The stream.
 * @param native Gets the queue.
 */
KERNELS_API kernels_status kernels_stream_native(kernels_stream *stream, void **native);

/**
 * Waits until everything queued so far is done.
 * @param stream The stream.
 */
KERNELS_API kernels_status kernels_stream_synchronize(kernels_stream *stream);

/**
 * Queues a copy from the host. The source may be used again on return.
 * @param stream The stream.
 * @param source As many bytes as the destination has.
 * @param destination Where to.
 */
KERNELS_API kernels_status kernels_stream_upload(
    kernels_stream *stream, const void *source, const kernels_tensor *destination);

/**
 * Copies to the host, and waits until the values are there.
 * @param stream The stream.
 * @param source Where from.
 * @param destination As many bytes as the source has.
 */
KERNELS_API kernels_status kernels_stream_download(
    kernels_stream *stream, const kernels_tensor *source, void *destination);

/**
 * Queues a copy between tensors of one size on this device, bit for bit.
 * @param stream The stream.
 * @param source Where from.
 * @param destination Where to.
 */
KERNELS_API kernels_status kernels_stream_copy(
    kernels_stream *stream, const kernels_tensor *source, const kernels_tensor *destination);

/**
 * Queues setting every element to one value.
 * @param stream The stream.
 * @param destination What is set.
 * @param value One element, read before the call returns.
 */
KERNELS_API kernels_status kernels_stream_fill(
    kernels_stream *stream, const kernels_tensor *destination, const void *value);

/**
 * A point in the stream's work: completed once everything queued before it is.
 * @param stream The stream.
 * @param device_event Gets the handle.
 */
KERNELS_API kernels_status kernels_stream_record(kernels_stream *stream, kernels_event **device_event);

/**
 * Work queued after this call waits for an event, which may come from another stream of the device.
 * @param stream The stream that waits.
 * @param device_event What it waits for.
 */
KERNELS_API kernels_status kernels_stream_wait(kernels_stream *stream, kernels_event *device_event);

/**
 * From here on what this thread tells the stream is recorded, and does not run: kernels are compiled, memory is
 * allocated. What asks for results or orders streams is INVALID_STATE, and leaves the capture as it was.
 * @param stream The stream.
 */
KERNELS_API kernels_status kernels_stream_begin_capture(kernels_stream *stream);

/**
 * Ends the capture and makes a graph of it.
 * @param stream The stream.
 * @param graph Gets the handle.
 */
KERNELS_API kernels_status kernels_stream_end_capture(kernels_stream *stream, kernels_graph **graph);

/**
 * Ends the capture and forgets what was recorded: after a failure in it, say.
 * @param stream The stream.
 */
KERNELS_API kernels_status kernels_stream_abandon_capture(kernels_stream *stream);

/**
 * Lets a stream go. Work already queued still runs.
 * @param stream (optional) The stream.
 */
KERNELS_API kernels_status kernels_stream_free(kernels_stream *stream);

/* --- Event ------------------------------------------------------------------------------------------------------ */

/* Events. */

/**
 * Waits until the work before an event is done.
 * @param device_event The event.
 */
KERNELS_API kernels_status kernels_event_wait(kernels_event *device_event);

/**
 * Whether the work before an event is done. Waits for nothing.
 * @param device_event The event.
 * @param completed Gets the answer.
 */
KERNELS_API kernels_status kernels_event_is_completed(kernels_event *device_event, bool *completed);

/**
 * Time of the device between two events of one device. Waits for both.
 * @param earlier The event that was recorded first.
 * @param later The other.
 * @param seconds Gets the time.
 */
KERNELS_API kernels_status kernels_event_elapsed(kernels_event *earlier, kernels_event *later, double *seconds);

/**
 * Frees an event; work is not affected.
 * @param device_event (optional) The event.
 */
KERNELS_API kernels_status kernels_event_free(kernels_event *device_event);

/* --- Graph ------------------------------------------------------------------------------------------------------ */

/*
 * Graphs: work that was captured once (kernels_stream_begin_capture) and can be launched many times at the cost of
 * one launch. A replay does the same work on the same addresses, with the same bits as the calls it was captured
 * from; values of the host are those of the capture. What changes lies in device memory: keys, learning rates, the
 * loss scale.
 */

/**
 * Queues one replay.
 * @param graph The graph.
 * @param stream A stream of its device, not necessarily the one that was captured.
 */
KERNELS_API kernels_status kernels_graph_launch(kernels_graph *graph, kernels_stream *stream);

/**
 * How many kernels one replay launches.
 * @param graph The graph.
 * @param count Gets the number.
 */
KERNELS_API kernels_status kernels_graph_kernel_count(kernels_graph *graph, int32_t *count);

/**
 * Lets a graph and the memory it kept go, when replays that are queued have run.
 * @param graph (optional) The graph.
 */
KERNELS_API kernels_status kernels_graph_free(kernels_graph *graph);

/* --- Dlpack ----------------------------------------------------------------------------------------------------- */

/*
 * DLPack: tensors to and from other libraries of the process, without a copy. Structs are those of its header:
 * DLTensor, DLManagedTensor, and DLManagedTensorVersioned of major version 1. Strides other than those of dense
 * rows are refused.
 */

/**
 * A view of a tensor of another library, which stays its owner.
 * @param device The device that it is on.
 * @param dl_tensor A DLTensor.
 * @param tensor Gets the view, whose shape is that of the DLTensor.
 */
KERNELS_API kernels_status kernels_tensor_from_dlpack(
    kernels_device *device, const void *dl_tensor, kernels_tensor *tensor);

/**
 * Takes over a tensor of another library: freeing the memory calls its deleter, once. When this fails the tensor
 * stays the caller's.
 * @param device The device that it is on.
 * @param managed A DLManagedTensor, or a DLManagedTensorVersioned.
 * @param versioned Which of the two.
 * @param may_be_read_only Whether the caller only reads it, and so takes one that must not be written.
 * @param memory Gets the handle.
 * @param tensor Gets the tensor over that memory; its shape lies in the DLPack struct, and is gone with the
 *     memory.
 */
KERNELS_API kernels_status kernels_memory_from_dlpack(
    kernels_device *device, void *managed, bool versioned, bool may_be_read_only, kernels_memory **memory,
    kernels_tensor *tensor);

/**
 * Lends a tensor to another library, which calls the deleter of the struct when it has done.
 * @param device The device that it is on.
 * @param tensor The tensor; where it has memory of this library, that stays until then.
 * @param versioned Whether to make a DLManagedTensorVersioned, or a DLManagedTensor.
 * @param managed Gets the struct.
 */
KERNELS_API kernels_status kernels_tensor_to_dlpack(
    kernels_device *device, const kernels_tensor *tensor, bool versioned, void **managed);

/* --- Optimizer -------------------------------------------------------------------------------------------------- */

/*
 * Optimizers over a whole list of parameters: one launch updates them all. Parameters and gradients stay the
 * caller's, and their memory must live as long as the optimizer; all have one data type. A step can be captured:
 * step counts, bias corrections and the decision to skip are made on the device.
 */

/**
 * Makes an Adam optimizer.
 * @param device Device of all tensors.
 * @param groups Parameters and gradients.
 * @param options For each group its options.
 * @param group_count How many groups there are.
 * @param settings (optional) Settings of the whole.
 * @param optimizer Gets the handle.
 */
KERNELS_API kernels_status kernels_adam_create(
    kernels_device *device, const kernels_parameter_group *groups, const kernels_adam_options *options,
    int64_t group_count, const kernels_optimizer_settings *settings, kernels_optimizer **optimizer);

/**
 * Changes the options of a group from the next step on.
 * @param optimizer An Adam optimizer.
 * @param group Which group.
 * @param options Its options.
 */
KERNELS_API kernels_status kernels_adam_set_options(
    kernels_optimizer *optimizer, int32_t group, const kernels_adam_options *options);

/**
 * Makes an AdamW optimizer.
 * @param device Device of all tensors.
 * @param groups Parameters and gradients.
 * @param options For each group its options.
 * @param group_count How many groups there are.
 * @param settings (optional) Settings of the whole.
 * @param optimizer Gets the handle.
 */
KERNELS_API kernels_status kernels_adamw_create(
    kernels_device *device, const kernels_parameter_group *groups, const kernels_adamw_options *options,
    int64_t group_count, const kernels_optimizer_settings *settings, kernels_optimizer **optimizer);

/**
 * Changes the options of a group from the next step on.
 * @param optimizer An AdamW optimizer.
 * @param group Which group.
 * @param options Its options.
 */
KERNELS_API kernels_status kernels_adamw_set_options(
    kernels_optimizer *optimizer, int32_t group, const kernels_adamw_options *options);

/**
 * Makes a Lion optimizer.
 * @param device Device of all tensors.
 * @param groups Parameters and gradients.
 * @param options For each group its options.
 * @param group_count How many groups there are.
 * @param settings (optional) Settings of the whole.
 * @param optimizer Gets the handle.
 */
KERNELS_API kernels_status kernels_lion_create(
    kernels_device *device, const kernels_parameter_group *groups, const kernels_lion_options *options,
    int64_t group_count, const kernels_optimizer_settings *settings, kernels_optimizer **optimizer);

/**
 * Changes the options of a group from the next step on.
 * @param optimizer A Lion optimizer.
 * @param group Which group.
 * @param options Its options.
 */
KERNELS_API kernels_status kernels_lion_set_options(
    kernels_optimizer *optimizer, int32_t group, const kernels_lion_options *options);

/**
 * Makes an RMSprop optimizer.
 * @param device Device of all tensors.
 * @param groups Parameters and gradients.
 * @param options For each group its options.
 * @param group_count How many groups there are.
 * @param settings (optional) Settings of the whole.
 * @param optimizer Gets the handle.
 */
KERNELS_API kernels_status kernels_rms_prop_create(
    kernels_device *device, const kernels_parameter_group *groups, const kernels_rms_prop_options *options,
    int64_t group_count, const kernels_optimizer_settings *settings, kernels_optimizer **optimizer);

/**
 * Changes the options of a group from the next step on.
 * @param optimizer An RMSprop optimizer.
 * @param group Which group.
 * @param options Its options.
 */
KERNELS_API kernels_status kernels_rms_prop_set_options(
    kernels_optimizer *optimizer, int32_t group, const kernels_rms_prop_options *options);

/**
 * Makes an optimizer by gradient descent, with or without momentum.
 * @param device Device of all tensors.
 * @param groups Parameters and gradients.
 * @param options For each group its options.
 * @param group_count How many groups there are.
 * @param settings (optional) Settings of the whole.
 * @param optimizer Gets the handle.
 */
KERNELS_API kernels_status kernels_sgd_create(
    kernels_device *device, const kernels_parameter_group *groups, const kernels_sgd_options *options,
    int64_t group_count, const kernels_optimizer_settings *settings, kernels_optimizer **optimizer);

/**
 * Changes the options of a group from the next step on.
 * @param optimizer An optimizer by gradient descent.
 * @param group Which group.
 * @param options Its options.
 */
KERNELS_API kernels_status kernels_sgd_set_options(
    kernels_optimizer *optimizer, int32_t group, const kernels_sgd_options *options);

/**
 * Queues one step of all parameters.
 * @param optimizer The optimizer.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_optimizer_step(kernels_optimizer *optimizer, kernels_stream *stream);

/**
 * Queues setting the number of steps taken, so that training goes on from loaded state with the same bits; 0
 * forgets all state. Load the parameters, then the state, then resume.
 * @param optimizer The optimizer.
 * @param stream Queue to run in.
 * @param steps Steps taken.
 */
KERNELS_API kernels_status kernels_optimizer_resume(
    kernels_optimizer *optimizer, kernels_stream *stream, uint64_t steps);

/**
 * Queues forgetting all averages of weights: each begins anew at the next step. For parameters that another library
 * wrote.
 * @param optimizer The optimizer.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_optimizer_restart_averages(kernels_optimizer *optimizer, kernels_stream *stream);

/**
 * The 2-norm of all gradients at the last step, loss scale taken off and before clipping; 0 when no setting needs
 * it. Waits.
 * @param optimizer The optimizer.
 * @param stream The stream of the step.
 * @param norm Gets the norm.
 */
KERNELS_API kernels_status kernels_optimizer_gradient_norm(
    kernels_optimizer *optimizer, kernels_stream *stream, double *norm);

/**
 * The name of one of the things that are kept for each parameter.
 * @param optimizer The optimizer.
 * @param index Which one, from 0.
 * @param name Gets a constant, or NULL past the last.
 */
KERNELS_API kernels_status kernels_optimizer_state_name(
    kernels_optimizer *optimizer, int32_t index, const char **name);

/**
 * The state under a name for one parameter, in the parameter's shape, to read, save or load.
 * @param optimizer The optimizer.
 * @param name A name that kernels_optimizer_state_name gives.
 * @param parameter The parameter's place, counted through all groups.
 * @param state Gets a view: FLOAT32, or FLOAT64 for FLOAT64 parameters; valid as long as the optimizer.
 */
KERNELS_API kernels_status kernels_optimizer_state(
    kernels_optimizer *optimizer, const char *name, int32_t parameter, kernels_tensor *state);

/**
 * Two UINT64 on the device: steps taken and steps skipped.
 * @param optimizer The optimizer.
 * @param counts Gets a view, valid as long as the optimizer.
 */
KERNELS_API kernels_status kernels_optimizer_step_counts(kernels_optimizer *optimizer, kernels_tensor *counts);

/**
 * For each parameter a UINT32: how many of its elements were exactly 0 after the last step.
 * @param optimizer An optimizer whose settings count zeros.
 * @param counts Gets a view, valid as long as the optimizer.
 */
KERNELS_API kernels_status kernels_optimizer_zero_counts(kernels_optimizer *optimizer, kernels_tensor *counts);

/**
 * Frees an optimizer and its state.
 * @param optimizer (optional) The optimizer.
 */
KERNELS_API kernels_status kernels_optimizer_free(kernels_optimizer *optimizer);

/* --- Snapshot --------------------------------------------------------------------------------------------------- */

/* Copies of a list of parameters: saved at the best evaluation, restored after stopping, bit for bit. */

/**
 * Allocates room for a copy of parameters, whose memory must live as long as the snapshot.
 * @param device Device of the parameters.
 * @param parameters Tensors of one data type and any shapes.
 * @param count How many there are.
 * @param place Where the copy lies.
 * @param snapshot Gets the handle.
 */
KERNELS_API kernels_status kernels_snapshot_create(
    kernels_device *device, const kernels_tensor *parameters, int64_t count, kernels_snapshot_place place,
    kernels_snapshot **snapshot);

/**
 * Queues copying the parameters into the snapshot.
 * @param snapshot The snapshot.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_snapshot_save(kernels_snapshot *snapshot, kernels_stream *stream);

/**
 * Queues copying the snapshot back into the parameters.
 * @param snapshot A snapshot that was saved.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_snapshot_restore(kernels_snapshot *snapshot, kernels_stream *stream);

/**
 * The saved values of one parameter, in its shape.
 * @param snapshot The snapshot.
 * @param parameter Which parameter.
 * @param saved Gets a view, valid as long as the snapshot.
 */
KERNELS_API kernels_status kernels_snapshot_saved(
    kernels_snapshot *snapshot, int32_t parameter, kernels_tensor *saved);

/**
 * Frees a snapshot once no queued work uses it.
 * @param snapshot (optional) The snapshot.
 */
KERNELS_API kernels_status kernels_snapshot_free(kernels_snapshot *snapshot);

/* --- NormPenalty ------------------------------------------------------------------------------------------------ */

/*
 * L1, L2 and elastic-net penalties over a list of parameters: value = sum of l1 * sum |w| + c * l2 * sum w^2, with
 * c = 1/2 or 1 by the convention; value and gradient of all tensors in one launch.
 */

/**
 * The penalty of these tensors, whose memory must live as long as it.
 * @param device Device of all tensors.
 * @param parameters The parameters, of one data type and any shapes.
 * @param gradients (optional) Their gradients, to which the penalty's are added; NULL when only the value is
 *     wanted.
 * @param strengths For each parameter its strengths; zeros leave it out.
 * @param count How many there are of each.
 * @param convention Which square the L2 strengths multiply.
 * @param penalty Gets the handle.
 */
KERNELS_API kernels_status kernels_norm_penalty_create(
    kernels_device *device, const kernels_tensor *parameters, const kernels_tensor *gradients,
    const kernels_penalty_strength *strengths, int64_t count, kernels_l2_convention convention,
    kernels_norm_penalty **penalty);

/**
 * Queues computing the value.
 * @param penalty The penalty.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_norm_penalty_forward(kernels_norm_penalty *penalty, kernels_stream *stream);

/**
 * Queues computing the value and adding the gradient to the gradients, in one pass.
 * @param penalty A penalty with gradients.
 * @param stream Queue to run in.
 * @param gradient_scale Factor of the gradient, not of the value: a loss scale, or 1.
 */
KERNELS_API kernels_status kernels_norm_penalty_forward_backward(
    kernels_norm_penalty *penalty, kernels_stream *stream, double gradient_scale);

/**
 * The value of the last call, once it has run: one FLOAT32, or FLOAT64 for FLOAT64 parameters.
 * @param penalty The penalty.
 * @param value Gets a view, valid as long as the penalty.
 */
KERNELS_API kernels_status kernels_norm_penalty_value(kernels_norm_penalty *penalty, kernels_tensor *value);

/**
 * Frees a penalty. The tensors stay the caller's.
 * @param penalty (optional) The penalty.
 */
KERNELS_API kernels_status kernels_norm_penalty_free(kernels_norm_penalty *penalty);

/* --- TiedGradients ---------------------------------------------------------------------------------------------- */

/*
 * Gradients of parameters that are used several times: gradient = use 1 + use 2 + ... in the order of the list, for
 * all parameters in one launch, rounded once.
 */

/**
 * The gradients of these parameters, and of their uses; all memory must live as long as the object.
 * @param device Device of all tensors.
 * @param gradients For each parameter its gradient, of one data type and any shape.
 * @param count How many there are.
 * @param uses The gradients of the uses, those of the first parameter first, each in the shape of its gradient.
 * @param use_counts For each parameter how many uses it has, at least 1.
 * @param tied Gets the handle.
 */
KERNELS_API kernels_status kernels_tied_gradients_create(
    kernels_device *device, const kernels_tensor *gradients, int64_t count, const kernels_tensor *uses,
    const int64_t *use_counts, kernels_tied_gradients **tied);

/**
 * Queues gradient = the sum of its uses, for all parameters.
 * @param tied The gradients.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_tied_gradients_sum(kernels_tied_gradients *tied, kernels_stream *stream);

/**
 * Queues gradient = what is there + the sum of its uses, for all parameters.
 * @param tied The gradients.
 * @param stream Queue to run in.
 */
KERNELS_API kernels_status kernels_tied_gradients_add(kernels_tied_gradients *tied, kernels_stream *stream);

/**
 * Frees the object. The tensors stay the caller's.
 * @param tied (optional) The gradients.
 */
KERNELS_API kernels_status kernels_tied_gradients_free(kernels_tied_gradients *tied);

/* --- AdaptiveDropout -------------------------------------------------------------------------------------------- */

/*
 * Adaptive dropout (standout): a unit is kept with the probability pi = sigmoid(alpha * pre + beta) that its own
 * pre-activation gives. Training y = m * x, P(m = 1) = pi; inference y = pi * x. x is the unit's activation, pre
 * the pre-activation of the belief network, which the paper ties to the layer's own: pre = w v with alpha and beta
 * as the affine map between the two. Element i (plus the global start) takes kernels_philox_lane i and is kept iff
 * u + u * exp(-z) < 65536, with u = lane + 1/2 and z = alpha * pre + beta. This is calculated in float, whatever is
 * stored, by functions that give the same bits on every device, so masks are the same everywhere. Kept elements are
 * not scaled: the probabilities belong to the model, and inference multiplies by them. Dropped elements are +0,
 * also where x is NaN or infinite; a pre that is NaN drops its unit in training and gives NaN at inference. Types:
 * float, Half, BFloat16, double; any shape, including empty. J. Ba and B. Frey, "Adaptive dropout for training deep
 * neural networks", NeurIPS 2013. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that differ,
 * tensors that overlap in part or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for an alpha or beta
 * that is not finite, before anything is launched.
 */

/**
 * Training: y = m * x.
 * @param stream Queue to run in.
 * @param x Activations, any shape.
 * @param pre Pre-activations that set the keep probabilities, shape of x; may be x.
 * @param y Output, shape of x; may be x or pre.
 * @param alpha Factor of the pre-activation.
 * @param beta Shift: with pre = 0 a unit is kept with the probability sigmoid(beta).
 * @param key Random key; one offset for each call.
 * @param global_start Index of the first element in the whole tensor of which the argument is a shard.
 */
KERNELS_API kernels_status kernels_adaptive_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *pre, const kernels_tensor *y,
    double alpha, double beta, const kernels_key *key, uint64_t global_start);

/**
 * Inference: y = pi * x, the expected output of training.
 * @param stream Queue to run in.
 * @param x Activations, any shape.
 * @param pre Pre-activations, shape of x; may be x.
 * @param y Output, shape of x; may be x or pre.
 * @param alpha As in training.
 * @param beta As in training.
 */
KERNELS_API kernels_status kernels_adaptive_dropout_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *pre, const kernels_tensor *y,
    double alpha, double beta);

/**
 * The gradients of the forward call that had the same key, alpha, beta and start, by an estimator.
 * @param stream Queue to run in.
 * @param x Activations of the forward call.
 * @param pre Pre-activations of the forward call.
 * @param dy Gradient of the output.
 * @param dx Gradient of the activations, shape of x; may be one of the inputs.
 * @param d_pre (optional) Gradient of the pre-activations, shape of x, or NULL when it is not needed; may be an
 *     input other than that in place of which dx stands.
 * @param alpha As in forward.
 * @param beta As in forward.
 * @param estimator How the random decision is differentiated.
 * @param key As in forward.
 * @param global_start As in forward.
 */
KERNELS_API kernels_status kernels_adaptive_dropout_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *pre, const kernels_tensor *dy,
    const kernels_tensor *dx, const kernels_tensor *d_pre, double alpha, double beta,
    kernels_adaptive_estimator estimator, const kernels_key *key, uint64_t global_start);

/**
 * Dropout with a keep probability of its own for each element: y = m * x (or m * x / q), P(m = 1) = q = T/65536
 * with T = round(65536 * probability), which is clamped to [1, 65535] for probabilities between 0 and 1. An element
 * is kept iff its lane < T, numbered as in kernels_adaptive_dropout_forward. A probability of at least 1 keeps; one
 * that is NaN or at most 0 drops.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param keep_probabilities Probability to keep each element, shape of x.
 * @param y Output, shape of x; may be x or keep_probabilities.
 * @param key Random key; one offset for each call.
 * @param options (optional) Scaling and shard start.
 */
KERNELS_API kernels_status kernels_adaptive_dropout_forward_per_element(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *keep_probabilities,
    const kernels_tensor *y, const kernels_key *key, const kernels_dropout_options *options);

/**
 * Gradient of kernels_adaptive_dropout_forward_per_element: dx = m * dy (or m * dy / q). The probabilities are
 * constants.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, any shape.
 * @param keep_probabilities As in forward.
 * @param dx Gradient of the input, shape of dy; may be dy or keep_probabilities.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_adaptive_dropout_backward_per_element(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *keep_probabilities,
    const kernels_tensor *dx, const kernels_key *key, const kernels_dropout_options *options);

/* --- Affine ----------------------------------------------------------------------------------------------------- */

/*
 * Images through affine maps of the caller: PyTorch's affine_grid and grid_sample in one pass. A matrix takes the
 * normalized coordinates (x, y, 1) of a pixel of the output to those of the place of the input that is read for it.
 * They go from -1 to 1, between the outer edges of the first and the last pixel, or with align_corners between
 * their middles. The identity and quarter turns of square images move bits. How images are read, normalized and
 * refused is Augment's. M. Jaderberg, K. Simonyan, A. Zisserman and K. Kavukcuoglu, "Spatial transformer networks",
 * NeurIPS 2015.
 */

/**
 * Reads each image through its matrix.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param matrices From the output to the input, [batch, 2, 3].
 * @param y Output, of the batch and channels of x, of any height and width.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_affine_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *matrices, const kernels_tensor *y,
    const kernels_augment_options *options);

/**
 * Gradient of the images: dx gathers dy by the weights of forward, in the order of y.
 * @param stream Queue to run in.
 * @param matrices As in forward.
 * @param dy Gradient of the output.
 * @param dx Gradient of the images, in their layout.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_affine_backward(
    kernels_stream *stream, const kernels_tensor *matrices, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_augment_options *options);

/**
 * Gradient of the matrices; 0 for the nearest pixel, whose choice has no slope.
 * @param stream Queue to run in.
 * @param x Images, as in forward.
 * @param matrices As in forward.
 * @param dy Gradient of the output.
 * @param dmatrices Output, [batch, 2, 3].
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_affine_backward_matrices(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *matrices, const kernels_tensor *dy,
    const kernels_tensor *dmatrices, const kernels_augment_options *options);

/* --- AlphaDropout ----------------------------------------------------------------------------------------------- */

/*
 * Alpha dropout: dropped elements take the value that the SELU activation saturates at, and an affine map restores
 * mean and variance. With s = -lambda * alpha = -1.7580993408473766 and the realised keep probability q: y = a * (m
 * x + (1 - m) s) + b, where a = (q + s^2 q (1 - q))^(-1/2) and b = -a (1 - q) s, so that inputs of mean 0 and
 * variance 1 give outputs of mean 0 and variance 1. The identity at inference. Backward: dx = a * dy where kept,
 * else 0. Element i takes the decision of Dropout: the same key gives the same mask. A dropped NaN or infinity
 * becomes the constant. p = 0 copies without drawing; p = 1 writes zeros, the limit of the map. Types: float, Half,
 * BFloat16, double; any shape; the destination may be the source. G. Klambauer, T. Unterthiner, A. Mayr and S.
 * Hochreiter, "Self-normalizing neural networks", NeurIPS 2017. Every method gives KERNELS_STATUS_INVALID_ARGUMENT
 * for shapes that differ, tensors that overlap in part or live on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1], before anything is launched.
 */

/**
 * The affine map for a drop probability: scale a, shift b, and the value a * s + b of a dropped element.
 * @param scale Gets scale.
 * @param shift Gets shift.
 * @param dropped Gets dropped.
 */
KERNELS_API kernels_status kernels_alpha_dropout_map(
    double drop_probability, double *scale, double *shift, double *dropped);

/**
 * Training: y = a * (m x + (1 - m) s) + b.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param global_start Index of the first element in the whole tensor of which the argument is a shard.
 */
KERNELS_API kernels_status kernels_alpha_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    const kernels_key *key, uint64_t global_start);

/**
 * Gradient: dx = a * dy where the forward call with the same key, probability and start kept the element, else 0.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, any shape.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param global_start As in forward.
 */
KERNELS_API kernels_status kernels_alpha_dropout_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, double drop_probability,
    const kernels_key *key, uint64_t global_start);

/* --- AttentionDropout ------------------------------------------------------------------------------------------- */

/*
 * Attention dropout in one pass over rows: y = m * softmax(z) / q over the keys, z = scale * scores + mask, with m
 * drawn per element, P(m = 1) = q. On the CPU a row's values in the arithmetic type stay in a buffer of the first-
 * or second-level cache, so that scores are read from memory once, however long the row.
 */

/**
 * y = m * softmax(scale * scores + mask) / q.
 * @param stream Queue to run in.
 * @param scores Products of queries and keys, shape [batch, heads, queries, keys].
 * @param key_lengths (optional) The number of keys of each batch entry that are no padding, shape [batch], each
 *     in [0, keys]; NULL when all are.
 * @param mask (optional) Added to the scaled scores, -infinity where masked; see the remarks for its shapes.
 *     Null for none.
 * @param y Dropped probabilities, shape of scores; may be scores where backward is not needed.
 * @param scale Factor of the scores, 1/sqrt(head size) as a rule; finite.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Causal mask and shard start.
 */
KERNELS_API kernels_status kernels_attention_dropout_forward(
    kernels_stream *stream, const kernels_tensor *scores, const kernels_tensor *key_lengths,
    const kernels_tensor *mask, const kernels_tensor *y, double scale, double drop_probability,
    const kernels_key *key, const kernels_attention_dropout_options *options);

/**
 * dScores = scale * P * (dP - sum over the row's keys of dP * P), with dP = m * dy / q and P calculated again.
 * @param stream Queue to run in.
 * @param scores As in forward.
 * @param key_lengths (optional) As in forward.
 * @param mask (optional) As in forward.
 * @param dy Gradient of the dropped probabilities, shape of scores.
 * @param d_scores Gradient of the scores, shape of scores; may be dy or scores.
 * @param scale As in forward.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_attention_dropout_backward(
    kernels_stream *stream, const kernels_tensor *scores, const kernels_tensor *key_lengths,
    const kernels_tensor *mask, const kernels_tensor *dy, const kernels_tensor *d_scores, double scale,
    double drop_probability, const kernels_key *key, const kernels_attention_dropout_options *options);

/* --- Augment ---------------------------------------------------------------------------------------------------- */

/*
 * Augmentation of a batch of images in one pass: y = (colors(x at the mapped place) - mean) / deviation, with a
 * map, a list of colour ops and an erased box of its own for each sample. An image sees, in this order: crop,
 * flips, shift, rotation, scale and shear as one affine map and one interpolation; the ops of automatic;
 * brightness, contrast, saturation and hue; posterize, solarize, sharpness, autocontrast, equalize; normalization;
 * an erased box. What needs statistics of the image takes those of the image as it is then. Colours lie in [0,
 * white] and are clamped after each op; nothing is rounded before the output is stored. Bytes have white at 255,
 * floating-point images at 1. What is drawn for a sample is a function of (seed, epoch, sample, op): the key's
 * seed, its offset, the sample's number, the op. So a sample becomes the same bits in any batch, at any place in
 * it, on any device. Sharpness counts once in a list. Types: images of bytes, float, Half, BFloat16 or double in;
 * float, Half, BFloat16 or double out. Arithmetic is in float, for double outputs in double. A whole-pixel map
 * without colours or normalization moves bits: the identity, flips and quarter turns are exact. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, channels that an op has no meaning for, tensors that
 * overlap or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for settings out of range, before anything
 * is launched.
 */

/**
 * Draws the table of a batch and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x, of any height and width.
 * @param policy What is drawn.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_augment_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_policy *policy, const kernels_key *key, const kernels_augment_options *options);

/**
 * Draws the table of a batch.
 * @param stream Queue to run in.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param table Output, [batch, KERNELS_AUGMENT_TABLE_WIDTH].
 * @param input_size Height and width of the images, each in [1, 2^20].
 * @param output_size Height and width of the output, each in [1, 2^20].
 * @param policy What is drawn.
 * @param key Seed and epoch.
 * @param options (optional) The number of the first sample.
 */
KERNELS_API kernels_status kernels_augment_draw(
    kernels_stream *stream, const kernels_tensor *sample_ids, const kernels_tensor *table,
    const kernels_size2d *input_size, const kernels_size2d *output_size, const kernels_augment_policy *policy,
    const kernels_key *key, const kernels_augment_options *options);

/**
 * Applies a table that was drawn, or made, before.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param table A row for each sample, [batch, KERNELS_AUGMENT_TABLE_WIDTH], as kernels_augment_draw writes it.
 * @param y Output, of the batch and channels of x, of any height and width.
 * @param statistics Colour ops of a row that may need statistics of the image: contrast, autocontrast,
 *     equalize. Those of a row beyond so many are left out.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_augment_apply(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *table, const kernels_tensor *y,
    int32_t statistics, const kernels_augment_options *options);

/* --- AutoAugment ------------------------------------------------------------------------------------------------ */

/*
 * Images go through a random list of ops for each sample. One case of Augment, which says how images are read,
 * drawn for and refused. E. Cubuk, B. Zoph, J. Shlens and Q. Le, "RandAugment: practical automated data
 * augmentation with a reduced search space", NeurIPS 2020; S. Müller and F. Hutter, "TrivialAugment: tuning-free
 * yet state-of-the-art data augmentation", ICCV 2021.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param policy How many ops, of which magnitude, out of which.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_auto_augment_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_auto_augment_policy *policy, const kernels_key *key, const kernels_augment_options *options);

/* --- Autocontrast ----------------------------------------------------------------------------------------------- */

/*
 * In images, with some probability each channel is stretched from black to white. One case of Augment, which says
 * how images are read, drawn for and refused. E. Cubuk, B. Zoph, D. Mane, V. Vasudevan and Q. Le, "AutoAugment:
 * learning augmentation strategies from data", CVPR 2019.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param probability Probability of a sample.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_autocontrast_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    double probability, const kernels_key *key, const kernels_augment_options *options);

/* --- AveragePool2d ---------------------------------------------------------------------------------------------- */

/*
 * Average pooling over maps: y = the sum of each window over a divisor. The number of windows is that of MaxPool2d.
 * A window is divided by the number of its elements in the map and its padding, or in the map alone
 * (excludes_padding), never by those that hang over the padding where the number of windows is rounded up; or by
 * divisor. A window as large as the map is summed by a kernel of its own, in one pass over the plane;
 * kernels_average_pool2d_forward_global is that. Sums are in float (double for double), row by row of a window; of
 * whole maps in the order of a tree. Backward gathers for each element of x the windows that it is in, in their
 * order. Types: float, Half, BFloat16, double. Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based
 * learning applied to document recognition", 1998; M. Lin, Q. Chen and S. Yan, "Network in network", ICLR 2014.
 * Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, a window larger than the padded
 * map, a window without any element of the map, tensors that overlap or live on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for a window, stride, dilation, padding or divisor out of range, before anything
 * is launched.
 */

/**
 * The shape of the output for an input.
 * @param shape Shape of x: [batch, channels, height, width], or as the layout says.
 * @param shape_count How many shape has.
 * @param window Rows and columns of a window.
 * @param options (optional) Stride, padding, dilation, rounding, layout.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_average_pool2d_output_shape(
    const int64_t *shape, int64_t shape_count, const kernels_size2d *window,
    const kernels_average_pool2d_options *options, int64_t *result, int64_t result_capacity,
    int64_t *result_count);

/**
 * y = the sum of each window over its divisor.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, height, width], or as the layout says.
 * @param y Output, shape as kernels_average_pool2d_output_shape says.
 * @param window Rows and columns of a window.
 * @param options (optional) Stride, padding, dilation, rounding, divisor, layout.
 */
KERNELS_API kernels_status kernels_average_pool2d_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_size2d *window,
    const kernels_average_pool2d_options *options);

/**
 * Gradient: dx = the sum of dy over its divisor, over the windows that the element is in.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, shape of the forward call's input.
 * @param window As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_average_pool2d_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, const kernels_size2d *window,
    const kernels_average_pool2d_options *options);

/**
 * Global average pooling: y = the mean of each map.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, height, width], or as layout says; maps are not empty.
 * @param y Output, [batch, channels].
 * @param layout The place of the channels.
 */
KERNELS_API kernels_status kernels_average_pool2d_forward_global(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, kernels_tensor_layout layout);

/**
 * Gradient of global average pooling: dx = dy over the number of cells of a map.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, [batch, channels].
 * @param dx Gradient of the input, shape of the forward call's input.
 * @param layout As in forward.
 */
KERNELS_API kernels_status kernels_average_pool2d_backward_global(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, kernels_tensor_layout layout);

/* --- BatchNormAddRelu ------------------------------------------------------------------------------------------- */

/*
 * The end of a residual block in one pass: y = m * max(0, gamma * xhat + beta + residual) / q, m drawn per element,
 * P(m = 1) = q. Everything of BatchNormRelu holds here too. Backward takes y, which the next layer keeps anyway: it
 * is 0 where an element was rectified or dropped, so that neither the residual is read nor anything drawn again. K.
 * He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016.
 */

/**
 * Training: y = m * max(0, gamma * xhat + beta + residual) / q.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param residual What is added, shape of x.
 * @param gamma (optional) Factor of each channel, shape [channels], or NULL for 1.
 * @param beta (optional) What is added to each channel, shape [channels], or NULL for 0.
 * @param y Output, shape of x; may be residual.
 * @param statistics Output for Backward , shape [3, channels].
 * @param running_mean (optional) Running mean, shape [channels], or NULL.
 * @param running_variance (optional) Running variance, shape [channels]; NULL when running_mean is.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Layout, epsilon, running values and shard start.
 */
KERNELS_API kernels_status kernels_batch_norm_add_relu_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *residual, const kernels_tensor *gamma,
    const kernels_tensor *beta, const kernels_tensor *y, const kernels_tensor *statistics,
    const kernels_tensor *running_mean, const kernels_tensor *running_variance, double drop_probability,
    const kernels_key *key, const kernels_batch_norm_options *options);

/**
 * Inference: y = max(0, gamma * (x - mean) / sqrt(variance + epsilon) + beta + residual); nothing is dropped.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param residual What is added, shape of x.
 * @param gamma (optional) As in forward.
 * @param beta (optional) As in forward.
 * @param running_mean Mean of each channel, shape [channels].
 * @param running_variance Variance of each channel, shape [channels].
 * @param y Output, shape of x; may be x or residual.
 * @param options (optional) Layout and epsilon.
 */
KERNELS_API kernels_status kernels_batch_norm_add_relu_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *residual, const kernels_tensor *gamma,
    const kernels_tensor *beta, const kernels_tensor *running_mean, const kernels_tensor *running_variance,
    const kernels_tensor *y, const kernels_batch_norm_options *options);

/**
 * Gradients of training: dresidual = dy / q where y is more than 0, else 0, and those of BatchNorm for it.
 * @param stream Queue to run in.
 * @param x As in forward.
 * @param y What forward gave.
 * @param gamma (optional) As in forward.
 * @param statistics What forward gave.
 * @param dy Gradient of the output.
 * @param dx Gradient of x, shape of x; may be dy.
 * @param d_residual (optional) Gradient of the residual, or NULL when it is not needed; may be dy where dx is
 *     not.
 * @param d_gamma (optional) Gradient of gamma, shape [channels], or NULL when it is not needed.
 * @param d_beta (optional) Gradient of beta, shape [channels], or NULL when it is not needed.
 * @param drop_probability As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_batch_norm_add_relu_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_tensor *gamma,
    const kernels_tensor *statistics, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_tensor *d_residual, const kernels_tensor *d_gamma, const kernels_tensor *d_beta,
    double drop_probability, const kernels_batch_norm_options *options);

/* --- BatchNorm -------------------------------------------------------------------------------------------------- */

/*
 * Batch normalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each
 * channel over the batch and all places in training, and with running ones at inference. x is [batch, channels,
 * ...] or [batch, ..., channels] with two to five dimensions; gamma, beta and everything else of channels have the
 * shape [channels] and are in the arithmetic type: float beside float, Half and BFloat16, double beside double.
 * Gamma and beta may be NULL: 1 and 0. Values are normalized with the biased variance (sum of squared deviations
 * over the n elements of a channel). Training of one value a channel is refused: it would be 0 whatever the value;
 * a batch of no elements leaves the running values as they are. What backward needs is one tensor, statistics , of
 * the shape [3, channels]: the mean, what its rounding left, and the inverse deviation 1 / sqrt(variance +
 * epsilon). So results keep their digits where the mean is 10^6 times the deviation. Sums are of distances from an
 * element nearby, merged by pairs in a fixed order: E[x^2] - E[x]^2 is never taken. Inputs up to 1e30 in float and
 * BFloat16 (1e150 in double) do not overflow on the way. A channel of equal values is exactly beta. A value that is
 * not finite makes mean, deviation and y of its channel NaN, and so does a gamma or a statistic that is not finite.
 * S. Ioffe and C. Szegedy, "Batch normalization: Accelerating deep network training by reducing internal covariate
 * shift", ICML 2015; T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
 * computing sample variances", 1979. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit,
 * one value a channel, or tensors that overlap otherwise than stated or live on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for settings out of range, before anything is launched.
 */

/**
 * Training: normalizes by the batch, keeps its statistics, and moves the running ones on: running = (1 - momentum)
 * * running + momentum * value unless the options say otherwise.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param gamma (optional) Factor of each channel, shape [channels], or NULL for 1.
 * @param beta (optional) What is added to each channel, shape [channels], or NULL for 0.
 * @param y Output, shape of x.
 * @param statistics Output for Backward , shape [3, channels].
 * @param running_mean (optional) Running mean, shape [channels], or NULL.
 * @param running_variance (optional) Running variance, shape [channels]; NULL when running_mean is.
 * @param options (optional) Layout, epsilon, and how running values move on.
 */
KERNELS_API kernels_status kernels_batch_norm_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *y, const kernels_tensor *statistics, const kernels_tensor *running_mean,
    const kernels_tensor *running_variance, const kernels_batch_norm_options *options);

/**
 * Inference: normalizes by the running statistics, y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param gamma (optional) As in forward.
 * @param beta (optional) As in forward.
 * @param running_mean Mean of each channel, shape [channels].
 * @param running_variance Variance of each channel, shape [channels].
 * @param y Output, shape of x; may be x.
 * @param options (optional) Layout and epsilon.
 */
KERNELS_API kernels_status kernels_batch_norm_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *running_mean, const kernels_tensor *running_variance, const kernels_tensor *y,
    const kernels_batch_norm_options *options);

/**
 * Gradients of training: with xhat the normalized x over the n elements of a channel, dbeta = sum of dy, dgamma =
 * sum of dy * xhat, dx = gamma * inverse deviation * (dy - dbeta / n - xhat * dgamma / n).
 * @param stream Queue to run in.
 * @param x As in forward.
 * @param gamma (optional) As in forward.
 * @param statistics What forward gave.
 * @param dy Gradient of the output.
 * @param dx Gradient of x, shape of x; may be dy.
 * @param d_gamma (optional) Gradient of gamma, shape [channels], or NULL when it is not needed.
 * @param d_beta (optional) Gradient of beta, shape [channels], or NULL when it is not needed.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_batch_norm_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *statistics,
    const kernels_tensor *dy, const kernels_tensor *dx, const kernels_tensor *d_gamma,
    const kernels_tensor *d_beta, const kernels_batch_norm_options *options);

/* --- BatchNormRelu ---------------------------------------------------------------------------------------------- */

/*
 * Batch normalization, ReLU and dropout in one pass: y = m * max(0, z) / q with z = gamma * xhat + beta, m drawn
 * per element, P(m = 1) = q. Statistics, shapes, types and settings are those of BatchNorm, the decisions those of
 * Dropout: element i of the dense order takes the decision of index i + global_start. Nothing is stored for either
 * mask: Backward calculates z from x again and draws again. A probability of 0 draws nothing, so that the op is
 * normalization and ReLU. With drop_block y is also dropped in blocks and multiplied by cells / kept cells, in the
 * same pass. A dropped element is +0, NaN included; NaN passes the ReLU and its gradient. Errors are those of
 * BatchNorm, and KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1]; those of
 * DropBlock, and for a scale of each sample or map and a shard that begins inside a sample.
 */

/**
 * Training: y = m * max(0, gamma * xhat + beta) / q.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param gamma (optional) Factor of each channel, shape [channels], or NULL for 1.
 * @param beta (optional) What is added to each channel, shape [channels], or NULL for 0.
 * @param y Output, shape of x.
 * @param statistics Output for Backward , shape [3, channels].
 * @param running_mean (optional) Running mean, shape [channels], or NULL.
 * @param running_variance (optional) Running variance, shape [channels]; NULL when running_mean is.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Layout, epsilon, running values and shard start.
 */
KERNELS_API kernels_status kernels_batch_norm_relu_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *y, const kernels_tensor *statistics, const kernels_tensor *running_mean,
    const kernels_tensor *running_variance, double drop_probability, const kernels_key *key,
    const kernels_batch_norm_options *options);

/**
 * Inference: y = max(0, gamma * (x - mean) / sqrt(variance + epsilon) + beta); nothing is dropped.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param gamma (optional) As in forward.
 * @param beta (optional) As in forward.
 * @param running_mean Mean of each channel, shape [channels].
 * @param running_variance Variance of each channel, shape [channels].
 * @param y Output, shape of x; may be x.
 * @param options (optional) Layout and epsilon.
 */
KERNELS_API kernels_status kernels_batch_norm_relu_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *running_mean, const kernels_tensor *running_variance, const kernels_tensor *y,
    const kernels_batch_norm_options *options);

/**
 * Gradients of training: those of BatchNorm for g = m * dy / q where z is more than 0, else 0.
 * @param stream Queue to run in.
 * @param x As in forward.
 * @param gamma (optional) As in forward.
 * @param beta (optional) As in forward: z is calculated again.
 * @param statistics What forward gave.
 * @param dy Gradient of the output.
 * @param dx Gradient of x, shape of x; may be dy.
 * @param d_gamma (optional) Gradient of gamma, shape [channels], or NULL when it is not needed.
 * @param d_beta (optional) Gradient of beta, shape [channels], or NULL when it is not needed.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_batch_norm_relu_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *statistics, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_tensor *d_gamma, const kernels_tensor *d_beta, double drop_probability, const kernels_key *key,
    const kernels_batch_norm_options *options);

/* --- BiasDropoutResidual ---------------------------------------------------------------------------------------- */

/*
 * The end of a residual branch in one pass: y = residual + r * channelScale * m * (x + bias) / q, with m drawn per
 * element, P(m = 1) = q, and r per row. For x of shape [rows, columns]. Element (n, d) takes the decision of
 * element (s + n) * columns + d as Dropout defines it, with s = global_start. Row n takes lane (s + n) mod 8 of
 * Philox block 2^63 + (s + n) / 8 of the same key, a block that no element reaches; r is 65536/T' where that lane
 * is below T', else 0. Neither mask is stored: kernels_bias_dropout_residual_backward draws them again. A dropped
 * element or row is its residual as it is, also where x is NaN or infinite; x of a dropped row is not read. p = 0
 * and p = 1 draw nothing; when either probability is 1 the residual is copied. Types: float, Half, BFloat16,
 * double, calculated in float (double for double) and rounded once. Any sizes, also 0. y may be x or the residual.
 * The gradient of the residual is dy itself: it is not written, use dy. Gradients of bias and channel scale are
 * summed in two stages in a fixed order, so they are the same bits in every run on a device. D. Narayanan et al.,
 * "Efficient large-scale language model training on GPU clusters using Megatron-LM", SC 2021; G. Huang et al.,
 * "Deep networks with stochastic depth", ECCV 2016; channel scale: H. Touvron et al., "Going deeper with image
 * transformers", ICCV 2021. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors
 * that overlap otherwise than stated or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for a
 * probability that is NaN or outside [0, 1], before anything is launched.
 */

/**
 * y = residual + r * channelScale * m * (x + bias) / q.
 * @param stream Queue to run in.
 * @param x What the branch computed, shape [rows, columns].
 * @param bias (optional) Shape [columns], or NULL for none.
 * @param channel_scale (optional) Factor of each column (LayerScale), shape [columns], or NULL for 1.
 * @param residual What goes past the branch, shape [rows, columns].
 * @param y Output, shape [rows, columns]; may be x (unless its scale needs a gradient) or residual.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Row drop and shard start.
 */
KERNELS_API kernels_status kernels_bias_dropout_residual_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *bias,
    const kernels_tensor *channel_scale, const kernels_tensor *residual, const kernels_tensor *y,
    double drop_probability, const kernels_key *key, const kernels_bias_dropout_residual_options *options);

/**
 * dx = r * channelScale * m * dy / q, dBias = sum over the rows of dx, dChannelScale = sum over the rows of r * m *
 * (x + bias) * dy / q. The gradient of the residual is dy.
 * @param stream Queue to run in.
 * @param x (optional) As in forward; needed for d_channel_scale only, and overlaps dx in no element.
 * @param bias (optional) As in forward; needed for d_channel_scale only.
 * @param channel_scale (optional) As in forward.
 * @param dy Gradient of the output, shape [rows, columns].
 * @param dx Gradient of x, shape [rows, columns]; may be dy where the residual needs no gradient.
 * @param d_bias (optional) Gradient of the bias, shape [columns], or NULL when it is not needed.
 * @param d_channel_scale (optional) Gradient of the channel scale, shape [columns], or NULL when it is not
 *     needed.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_bias_dropout_residual_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *bias,
    const kernels_tensor *channel_scale, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_tensor *d_bias, const kernels_tensor *d_channel_scale, double drop_probability,
    const kernels_key *key, const kernels_bias_dropout_residual_options *options);

/* --- ChannelDropout --------------------------------------------------------------------------------------------- */

/*
 * Dropout whose elements share decisions along axes: whole channels of images (Dropout1d, 2d, 3d), or any axes;
 * training y = m * x / q, identity at inference. A unit is one index of the axes that are not shared; units are
 * numbered in the dense order of those axes, whatever the layout, so [batch, channels, ...] and [batch, ...,
 * channels] drop the same channels. Unit u takes kernels_philox_lane u (plus the start of a shard, counted in
 * units). Dropped units are +0, NaN and infinities included, and are not read. p = 0 copies, p = 1 writes zeros,
 * both without drawing. Types: float, Half, BFloat16, double; the destination may be the source. J. Tompson, R.
 * Goroshin, A. Jain, Y. LeCun and C. Bregler, "Efficient object localization using convolutional networks", CVPR
 * 2015. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that differ, tensors that overlap in part or
 * live on another device, axes that do not exist or lie in more than two runs, and KERNELS_STATUS_INVALID_ARGUMENT
 * for a probability that is NaN or outside [0, 1], before anything is launched.
 */

/**
 * Training: whole channels are dropped.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, ...] or [batch, ..., channels]: at least two dimensions.
 * @param y Output, shape of x; may be x.
 * @param drop_probability Probability p to drop a channel of an example, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Layout and shard start.
 */
KERNELS_API kernels_status kernels_channel_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    const kernels_key *key, const kernels_channel_dropout_options *options);

/**
 * Gradient: dx = m * dy / q with the decisions of the forward call that had the same key, probability, layout and
 * start.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_channel_dropout_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, double drop_probability,
    const kernels_key *key, const kernels_channel_dropout_options *options);

/**
 * Training, with decisions shared along any axes; backward is the same map of the gradient.
 * @param stream Queue to run in.
 * @param x Input, or gradient of the output.
 * @param y Output, or gradient of the input; shape of x; may be x.
 * @param shared_axes Axes along which all elements share one decision, in at most two runs of neighbours.
 * @param shared_axes_count How many shared_axes has.
 * @param drop_probability Probability p to drop a unit, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param global_start First unit of a shard.
 */
KERNELS_API kernels_status kernels_channel_dropout_apply(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const int32_t *shared_axes,
    int64_t shared_axes_count, double drop_probability, const kernels_key *key, uint64_t global_start);

/* --- ColorJitter ------------------------------------------------------------------------------------------------ */

/*
 * In images, brightness, contrast, saturation and hue changed at random, clamped to [0, white] after each. One case
 * of Augment, which says how images are read, drawn for and refused. A. Howard, "Some improvements on deep
 * convolutional neural network based image classification", 2013, arXiv:1312.5402.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param brightness Bounds of the factor of brightness.
 * @param contrast Bounds of the factor of the distance from the mean grey of the image.
 * @param saturation Bounds of the factor of the distance from the grey of the pixel.
 * @param hue Bounds of the turn of the hue, in parts of a circle, from -0.5 to 0.5.
 * @param shuffles Whether the four come in a random order, or in this one.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_color_jitter_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_range *brightness, const kernels_augment_range *contrast,
    const kernels_augment_range *saturation, const kernels_augment_range *hue, bool shuffles,
    const kernels_key *key, const kernels_augment_options *options);

/* --- Conv2d ----------------------------------------------------------------------------------------------------- */

/*
 * Convolution of maps with a filter that all positions share: y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r,
 * s] x[n, c, p stride - padding + r dilation, q stride - padding + s dilation], where x is 0 outside. As in all
 * networks the filter is not turned around. Layouts: x [batch, channels, height, width] with filter [outputs,
 * channels / groups, height, width], or with channels last x [batch, height, width, channels] with filter [outputs,
 * height, width, channels / groups]. Output k lies in group k / (outputs / groups), which sees the channels of that
 * number alone. Sums are in the arithmetic type (float, double for double), in an order that the problem alone
 * decides, and rounded once, unless the options allow KERNELS_CONV2D_ALGORITHM_WINOGRAD; results repeat bit for
 * bit. Padding is zeros that take part: 0 times infinity is NaN. No matrix of patches is made. Types: float, Half,
 * BFloat16, double. A batch of 0 is valid: the gradients of filter and bias are then 0. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for groups that do not divide the channels, shapes that do not fit, a filter
 * larger than the padded input, tensors that overlap or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT
 * for settings out of range, before anything is launched. Y. LeCun, L. Bottou, Y. Bengio and P. Haffner,
 * "Gradient-based learning applied to document recognition", Proceedings of the IEEE 86, 1998.
 */

/**
 * The shape of y.
 * @param x Shape of the input, four dimensions in the layout of the options.
 * @param x_count How many x has.
 * @param filter Shape of the filter.
 * @param filter_count How many filter has.
 * @param options (optional) Stride, dilation, padding, groups and layout.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_conv2d_output_shape(
    const int64_t *x, int64_t x_count, const int64_t *filter, int64_t filter_count,
    const kernels_conv2d_options *options, int64_t *result, int64_t result_capacity, int64_t *result_count);

/**
 * y = x convolved with the filter, plus the bias.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, height, width] or [batch, height, width, channels].
 * @param filter [outputs, channels / groups, height, width], or with channels last [outputs, height, width,
 *     channels / groups].
 * @param bias (optional) [outputs], or NULL for none.
 * @param y Output, of the shape that kernels_conv2d_output_shape gives; overlaps no input.
 * @param options (optional) Stride, dilation, padding, groups and layout.
 */
KERNELS_API kernels_status kernels_conv2d_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *filter, const kernels_tensor *bias,
    const kernels_tensor *y, const kernels_conv2d_options *options);

/**
 * y = max(x convolved with the filter, plus the bias, 0), in one pass; NaN stays NaN. For the gradient, Relu makes
 * of y and its gradient that of the convolution.
 * @param stream Queue to run in.
 * @param x As in kernels_conv2d_forward.
 * @param filter As in kernels_conv2d_forward.
 * @param bias (optional) As in kernels_conv2d_forward.
 * @param y As in kernels_conv2d_forward.
 * @param options (optional) As in kernels_conv2d_forward.
 */
KERNELS_API kernels_status kernels_conv2d_forward_relu(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *filter, const kernels_tensor *bias,
    const kernels_tensor *y, const kernels_conv2d_options *options);

/**
 * Gradient of the input: dx[n, c, h, w] is the sum, over all places of the filter that see x[n, c, h, w], of w
 * times dy; dy is 0 outside.
 * @param stream Queue to run in.
 * @param filter As in forward.
 * @param dy Gradient of the output, of the shape that kernels_conv2d_output_shape gives for dx.
 * @param dx Gradient of the input, which is overwritten; overlaps no input.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_conv2d_backward_data(
    kernels_stream *stream, const kernels_tensor *filter, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_conv2d_options *options);

/**
 * Gradients of filter and bias: sums over all pixels of all examples.
 * @param stream Queue to run in.
 * @param x Input of the forward call.
 * @param dy Gradient of the output.
 * @param d_filter Gradient of the filter, of its shape, which is overwritten; overlaps no input.
 * @param d_bias (optional) Gradient of the bias, [outputs], or NULL when it is not needed; overlaps no input.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_conv2d_backward_filter(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *dy, const kernels_tensor *d_filter,
    const kernels_tensor *d_bias, const kernels_conv2d_options *options);

/* --- Conv2dTranspose -------------------------------------------------------------------------------------------- */

/*
 * The transposed convolution, which makes maps larger by a stride: y is what kernels_conv2d_backward_data makes of
 * x, plus a bias. Each x is spread over the places that the convolution of y would have gathered it from. The
 * settings are those of the convolution from y to x. Layouts: x [batch, inputs, height, width] with filter [inputs,
 * outputs / groups, height, width], or with channels last x [batch, height, width, inputs] with filter [inputs,
 * height, width, outputs / groups]. With a stride several sizes of y lead to one of x, so the shape of y decides;
 * kernels_conv2d_transpose_output_shape gives the least, plus what is asked for. Types, sums and what is refused
 * are those of Conv2d. M. Zeiler, D. Krishnan, G. Taylor and R. Fergus, "Deconvolutional networks", CVPR 2010.
 */

/**
 * The shape of y.
 * @param x Shape of the input, four dimensions in the layout of the options.
 * @param x_count How many x has.
 * @param filter Shape of the filter.
 * @param filter_count How many filter has.
 * @param options (optional) Settings of the convolution from y to x.
 * @param output_padding Rows and columns beyond the least, each less than the stride.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_conv2d_transpose_output_shape(
    const int64_t *x, int64_t x_count, const int64_t *filter, int64_t filter_count,
    const kernels_conv2d_options *options, const kernels_size2d *output_padding, int64_t *result,
    int64_t result_capacity, int64_t *result_count);

/**
 * y = x spread by the filter, plus the bias.
 * @param stream Queue to run in.
 * @param x Input, [batch, inputs, height, width] or [batch, height, width, inputs].
 * @param filter [inputs, outputs / groups, height, width], or with channels last [inputs, height, width,
 *     outputs / groups].
 * @param bias (optional) [outputs], or NULL for none.
 * @param y Output, of a shape whose convolution has that of x; overlaps no input.
 * @param options (optional) Settings of the convolution from y to x.
 */
KERNELS_API kernels_status kernels_conv2d_transpose_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *filter, const kernels_tensor *bias,
    const kernels_tensor *y, const kernels_conv2d_options *options);

/**
 * Gradient of the input: the convolution of dy.
 * @param stream Queue to run in.
 * @param filter As in forward.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, which is overwritten; overlaps no input.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_conv2d_transpose_backward_data(
    kernels_stream *stream, const kernels_tensor *filter, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_conv2d_options *options);

/**
 * Gradients of filter and bias.
 * @param stream Queue to run in.
 * @param x Input of the forward call.
 * @param dy Gradient of the output.
 * @param d_filter Gradient of the filter, of its shape, which is overwritten; overlaps no input.
 * @param d_bias (optional) Gradient of the bias, [outputs], or NULL when it is not needed; overlaps no input.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_conv2d_transpose_backward_filter(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *dy, const kernels_tensor *d_filter,
    const kernels_tensor *d_bias, const kernels_conv2d_options *options);

/* --- Crop ------------------------------------------------------------------------------------------------------- */

/*
 * A part of each image becomes the output. One case of Augment, which says how images are read, drawn for and
 * refused. A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep convolutional neural
 * networks", NeurIPS 2012; resized: C. Szegedy et al., "Going deeper with convolutions", CVPR 2015.
 */

/**
 * A window of the output's size at a random place of the padded input, each place as likely.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x; its height and width are the window's.
 * @param padding Pixels around the input that a window may reach into.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout; the border is what the padding is made of.
 */
KERNELS_API kernels_status kernels_crop_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_padding2d *padding, const kernels_key *key, const kernels_augment_options *options);

/**
 * A window of random area and aspect inside of the input, stretched to the output. After ten windows that do not
 * fit, the largest of a possible aspect in the middle is taken.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param area Bounds of the window's share of the area.
 * @param aspect Bounds of its width by its height, uniform in the logarithm.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_crop_resized(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_range *area, const kernels_augment_range *aspect, const kernels_key *key,
    const kernels_augment_options *options);

/* --- CrossEntropy ----------------------------------------------------------------------------------------------- */

/*
 * Softmax cross-entropy of rows of logits: loss[n] = -sum over k of w[k] * t[n, k] * log softmax(z[n])[k], with
 * label smoothing, soft and mixed targets, class weights, ignored labels, masked classes, z-loss and confidence
 * penalty; losses and gradients in one pass over the logits. On the CPU a row is gone through three times, for its
 * largest logit, the sums and the gradient, of which all but the first find it in a cache. The exponentials are
 * kept in a buffer in between. Vectors of sixteen do the classes; the few numbers of a row are calculated with in
 * double.
 */

/**
 * The losses.
 * @param stream Queue to run in.
 * @param logits Shape [rows, classes].
 * @param targets The target of each row; a tensor of labels of shape [rows] will do.
 * @param class_weights (optional) w, shape [classes], or NULL for ones.
 * @param losses Result: shape [rows], or [1] when reduced.
 * @param normalizer (optional) Result: the divisor of a mean, shape [1], whatever the reduction; NULL where it
 *     is not needed.
 * @param options (optional) Smoothing, ignored labels, reduction, penalties.
 */
KERNELS_API kernels_status kernels_cross_entropy_forward(
    kernels_stream *stream, const kernels_tensor *logits, const kernels_cross_entropy_targets *targets,
    const kernels_tensor *class_weights, const kernels_tensor *losses, const kernels_tensor *normalizer,
    const kernels_cross_entropy_options *options);

/**
 * The losses and the gradient of the logits, in one pass over the logits.
 * @param stream Queue to run in.
 * @param logits Shape [rows, classes].
 * @param targets As in kernels_cross_entropy_forward.
 * @param class_weights (optional) As in kernels_cross_entropy_forward.
 * @param loss_gradient (optional) A factor of the gradient in device memory, shape [1], or [rows] when the
 *     losses are not reduced; NULL for 1.
 * @param losses Result: shape [rows], or [1] when reduced; not scaled.
 * @param d_logits Gradient of the (reduced) loss, shape of logits; may be logits.
 * @param normalizer (optional) As in kernels_cross_entropy_forward.
 * @param gradient_scale Factor of the gradient, finite.
 * @param options (optional) Smoothing, ignored labels, reduction, penalties.
 */
KERNELS_API kernels_status kernels_cross_entropy_forward_backward(
    kernels_stream *stream, const kernels_tensor *logits, const kernels_cross_entropy_targets *targets,
    const kernels_tensor *class_weights, const kernels_tensor *loss_gradient, const kernels_tensor *losses,
    const kernels_tensor *d_logits, const kernels_tensor *normalizer, double gradient_scale,
    const kernels_cross_entropy_options *options);

/**
 * What a shard adds to the divisor of the mean: its part of the normalizer.
 * @param stream Queue to run in.
 * @param logits Shape [rows, classes]; only the shape is used.
 * @param targets The target of each row.
 * @param class_weights (optional) w, shape [classes], or NULL for ones.
 * @param normalizer Result, shape [1]: 0 for a shard without rows.
 * @param options (optional) Ignored labels; nothing else matters here.
 */
KERNELS_API kernels_status kernels_cross_entropy_normalizer(
    kernels_stream *stream, const kernels_tensor *logits, const kernels_cross_entropy_targets *targets,
    const kernels_tensor *class_weights, const kernels_tensor *normalizer,
    const kernels_cross_entropy_options *options);

/**
 * The losses of a shard, and its gradient of the mean over the whole batch, in one pass over the logits.
 * @param stream Queue to run in.
 * @param logits Shape [rows, classes].
 * @param targets The target of each row.
 * @param class_weights (optional) w, shape [classes], or NULL for ones.
 * @param divisor The sum over all shards of what Normalizer gave, shape [1].
 * @param loss_gradient (optional) A factor of the gradient in device memory, shape [1]; NULL for 1.
 * @param losses Result: the loss of each row, shape [rows]; reduced, shape [1], their sum, or this shard's part
 *     of the mean.
 * @param d_logits Result, shape of logits; may be logits.
 * @param gradient_scale Factor of the gradient, finite.
 * @param options (optional) As for a whole batch.
 */
KERNELS_API kernels_status kernels_cross_entropy_forward_backward_shard(
    kernels_stream *stream, const kernels_tensor *logits, const kernels_cross_entropy_targets *targets,
    const kernels_tensor *class_weights, const kernels_tensor *divisor, const kernels_tensor *loss_gradient,
    const kernels_tensor *losses, const kernels_tensor *d_logits, double gradient_scale,
    const kernels_cross_entropy_options *options);

/* --- CutMix ----------------------------------------------------------------------------------------------------- */

/*
 * CutMix: a box of each image comes from its partner, and the loss is mixed by what is left of the area.
 * CutMix.Draw(stream, sampleIds, labels, pairs, otherLabels, shares, boxes, height, width, alpha: 1, key);
 * CutMix.Forward(stream, x, pairs, boxes, mixed); CrossEntropy.Forward(stream, logits,
 * CrossEntropyTargets.Mixed(labels, otherLabels, shares), ...); Partners and lambda are drawn as in Mixup, by draws
 * of their own. The box has floor(H sqrt(1 - lambda)) rows and floor(W sqrt(1 - lambda)) columns about a uniform
 * pixel, rows from centre - rows / 2 on (rounded down), and is clipped at the borders; the share is 1 - area / (H
 * W) of what is left of it, to the nearest 2^-24. A box without rows or columns leaves the image as it is, share 1.
 * Elements are copied, bit for bit; what is not copied is not read. Types: float, Half, BFloat16, double; images up
 * to 32,768 pixels high and wide, in either layout; tensors without elements are a no-op. S. Yun, D. Han, S. J. Oh,
 * S. Chun, J. Choe and Y. Yoo, "CutMix: regularization strategy to train strong classifiers with localizable
 * features", ICCV 2019. Errors are those of Mixup.
 */

/**
 * Draws partners, boxes and shares for the images of a batch.
 * @param stream Queue to run in.
 * @param sample_ids (optional) Number of each image's sample, shape [rows]; NULL: the samples are numbered from
 *     first_sample on.
 * @param labels (optional) Classes, shape [rows], or of the data set, [pool rows]; NULL where neither the
 *     partners' labels nor partners of a class are wanted.
 * @param pairs Output [rows, 2]: each image's partner, and the one whose partner it is (-1 with a data set).
 * @param other_labels (optional) Output [rows], the partners' labels; NULL where they are not wanted.
 * @param shares Output [rows], the share of the image's own area: float or double.
 * @param boxes Output [rows, 4]: top, left, bottom and right in pixels, the last two exclusive.
 * @param height Rows of an image, 1 to 32,768.
 * @param width Columns of an image, 1 to 32,768.
 * @param alpha The parameter a of Beta(a, a), above 0.
 * @param key Random key: seed, and the epoch as offset.
 * @param options (optional) Mode, probability to skip, classes, data set, numbers.
 */
KERNELS_API kernels_status kernels_cutmix_draw(
    kernels_stream *stream, const kernels_tensor *sample_ids, const kernels_tensor *labels,
    const kernels_tensor *pairs, const kernels_tensor *other_labels, const kernels_tensor *shares,
    const kernels_tensor *boxes, int64_t height, int64_t width, double alpha, const kernels_key *key,
    const kernels_mixing_options *options);

/**
 * y[i] = pool[partner of i] inside of box i, x[i] outside.
 * @param stream Queue to run in.
 * @param x Images: [batch, channels, height, width] or [batch, height, width, channels].
 * @param pool (optional) Where the partners are: a data set, or the whole batch of which x is a shard.
 * @param pairs Partners, from kernels_cutmix_draw or a slice of them: [batch, 2].
 * @param boxes Boxes, from kernels_cutmix_draw or a slice of them: [batch, 4].
 * @param y Output, shape of x.
 * @param layout Where the channels are.
 */
KERNELS_API kernels_status kernels_cutmix_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *pool, const kernels_tensor *pairs,
    const kernels_tensor *boxes, const kernels_tensor *y, kernels_tensor_layout layout);

/**
 * Gradient within a batch: dx[i] = dy[i] outside of box i, plus dy[j] inside of box j, where j is the image whose
 * partner i is.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param pairs As in forward.
 * @param boxes As in forward.
 * @param dx Gradient of the input, shape of dy.
 * @param layout As in forward.
 */
KERNELS_API kernels_status kernels_cutmix_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *pairs, const kernels_tensor *boxes,
    const kernels_tensor *dx, kernels_tensor_layout layout);

/* --- Cutout ----------------------------------------------------------------------------------------------------- */

/*
 * Cutout: a square of each image, about a uniform pixel and clipped at the borders, becomes a constant. Hole h of a
 * sample covers rows r - side / 2 (rounded down) to r - side / 2 + side - 1 and the columns likewise, where r =
 * word 0 times height / 2^32 and the column word 1 times width / 2^32 of the sample's draw h; all channels alike.
 * It follows from key and sample number alone, so a sample is cut alike in every batch, order and shard, and
 * backward draws it again. NaN and infinities in the holes are gone. Types: float, Half, BFloat16, double; the
 * destination may be the source, which then is written to in the holes only; tensors without elements are a no-op.
 * T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with cutout", 2017. Every
 * method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors that overlap in part or live on
 * another device, and KERNELS_STATUS_INVALID_ARGUMENT for a side or a number of holes below 0, or a probability
 * outside [0, 1].
 */

/**
 * y = x outside of the holes, the filling inside.
 * @param stream Queue to run in.
 * @param x Images: [batch, channels, height, width] or [batch, height, width, channels].
 * @param sample_ids (optional) Number of each image's sample, shape [batch]; NULL: they are numbered from
 *     first_sample on.
 * @param y Output, shape of x; may be x.
 * @param side Pixels of a hole's side, at least 0; larger than an image is clipped.
 * @param key Random key: seed, and the epoch as offset.
 * @param options (optional) Holes, filling, probability to skip, layout, numbers.
 */
KERNELS_API kernels_status kernels_cutout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    int64_t side, const kernels_key *key, const kernels_cutout_options *options);

/**
 * Gradient: dx = dy outside of the holes of the forward call that had the same arguments, 0 inside.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param sample_ids (optional) As in forward.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param side As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_cutout_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *sample_ids, const kernels_tensor *dx,
    int64_t side, const kernels_key *key, const kernels_cutout_options *options);

/* --- DifferentiableAugment -------------------------------------------------------------------------------------- */

/*
 * Differentiable augmentation for adversarial training: brightness, saturation, contrast, translation and cutout of
 * each image, and the gradient with respect to the images. x1 = x + b b in Brightness x2 = m + s (x1 - m), m = the
 * pixel's mean of x1 s in Saturation x3 = M + c (x2 - M), M = the image's mean of x2 c in Contrast x4[r, k] = x3[r
 * + down, k + across], 0 outside within Translation y = 0 in a box, else x4 Cutout Values are of any range and
 * nothing is clamped. The three colour ops are one sum, y = c s x + c (1 - s) m + (1 - c) M + b with the means of
 * x, so no more than one pass over the images comes before that which writes them, for images whose contrast
 * changes. Backward draws the same again and is the exact adjoint of the linear part: the means of the gradients
 * are spread over what they are means of. Everything follows from key and sample number alone, so a sample is
 * treated alike in every batch, order and shard, and on every device. Draw 0 of the sample (words 0 to 2) gives b,
 * s and c, in steps of 2^-24 of their ranges; draw 1 the rows and columns of the shift (words 0 and 1) and of the
 * box (2 and 3); a transform takes place where the lane of draw 2 with its number (0 to 4, in the order above) is
 * below 65536 p. p is probability, or in device memory, where a captured step may change it: there NaN stands for 0
 * and more than 1 for 1. A sample that nothing happens to is copied bit for bit. NaN and infinities in a box, or
 * shifted out, are gone; else saturation spreads them over the pixel and contrast over the image. Types: float,
 * Half, BFloat16, double; arithmetic in float, or double; tensors without elements are a no-op. S. Zhao, Z. Liu, J.
 * Lin, J.-Y. Zhu and S. Han, "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020; the
 * probability: T. Karras, M. Aittala, J. Hellsten, S. Laine, J. Lehtinen and T. Aila, "Training generative
 * adversarial networks with limited data", NeurIPS 2020. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for
 * shapes that do not fit, tensors that overlap or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for a
 * range that is reversed, a share or probability outside [0, 1], before anything is launched.
 */

/**
 * Augments images.
 * @param stream Queue to run in.
 * @param x Images: [batch, channels, height, width] or [batch, height, width, channels].
 * @param sample_ids (optional) Number of each image's sample, shape [batch]; NULL: they are numbered from
 *     first_sample on.
 * @param probability (optional) The probability of a transform in device memory, one element; NULL:
 *     probability.
 * @param y Output, shape of x.
 * @param policy What is drawn.
 * @param key Random key: seed, and the step or the epoch as offset.
 * @param options (optional) Layout, numbers.
 */
KERNELS_API kernels_status kernels_differentiable_augment_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids,
    const kernels_tensor *probability, const kernels_tensor *y, const kernels_differentiable_policy *policy,
    const kernels_key *key, const kernels_differentiable_augment_options *options);

/**
 * The gradient with respect to the images of the forward call that had the same arguments.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param sample_ids (optional) As in forward.
 * @param probability (optional) As in forward.
 * @param dx Gradient of the input, shape of dy.
 * @param policy As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_differentiable_augment_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *sample_ids,
    const kernels_tensor *probability, const kernels_tensor *dx, const kernels_differentiable_policy *policy,
    const kernels_key *key, const kernels_differentiable_augment_options *options);

/* --- DropBlock -------------------------------------------------------------------------------------------------- */

/*
 * DropBlock: training sets whole blocks of a map to 0 and multiplies the rest by cells / kept cells; the identity
 * at inference. One, two or three spatial axes. Wherever a block fits into its map it is dropped with probability
 * gamma, which DropBlockRate finds from the drop probability; kernels_drop_block_plan reports gamma and the share
 * that is really dropped. A block covers cells s to s + size - 1 of each axis from its start s; it is centred on
 * cell s + size / 2 (rounded down), so even sizes reach one cell further before the centre than behind it. A block
 * larger than the map is clamped to it. Positions are numbered in the dense order [sample, channel, depth, height,
 * width] over those where the block fits, without the channel where channels share a mask. Position i starts a
 * block iff its 32 random bits are below round(gamma * 2^32): the upper 16 are lane i mod 8 of Philox block i / 8,
 * the lower 16 that lane of block 2^60 + i / 8. Noise: element i of the tensor in memory order takes normal i mod 4
 * (see GaussianNoise) of block 2^61 + i / 4. A shard counts on from its first sample. The mask depends on neither
 * device nor layout; backward draws it again, or takes what kernels_drop_block_forward_with_mask kept: a bit for
 * each cell. Dropped cells are filled also where x is NaN or infinite. A unit of normalisation in which nothing is
 * left has scale 0 and is all filling, never NaN. A rate of 0 copies and a rate of 1 writes zeros, both without
 * drawing. Types: float, Half, BFloat16, double; the product is rounded once. The destination may be the source;
 * tensors without elements are a no-op. G. Ghiasi, T.-Y. Lin and Q. V. Le, "DropBlock: a regularization method for
 * convolutional networks", NeurIPS 2018. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that differ
 * or have other than three to five dimensions, a block of the wrong number of sizes, tensors that overlap in part
 * or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for a size below 1, before anything is launched.
 */

/**
 * Training: y = m * x * cells / kept cells.
 * @param stream Queue to run in.
 * @param x Input: [batch, channels, ...] or [batch, ..., channels] with one to three spatial axes.
 * @param y Output, shape of x; may be x.
 * @param block_size Cells of a block along each spatial axis, or one size for all.
 * @param block_size_count How many block_size has.
 * @param rate How much to drop.
 * @param key Random key; one offset for each call.
 * @param options (optional) Layout, shared channels, normalisation, filling, shard.
 */
KERNELS_API kernels_status kernels_drop_block_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const int64_t *block_size,
    int64_t block_size_count, const kernels_drop_block_rate *rate, const kernels_key *key,
    const kernels_drop_block_options *options);

/**
 * Gradient: dx = m * dy * cells / kept cells with the mask of the forward call that had the same arguments; 0 in
 * the blocks, whatever fills them.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param block_size As in forward.
 * @param block_size_count How many block_size has.
 * @param rate As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_drop_block_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, const int64_t *block_size,
    int64_t block_size_count, const kernels_drop_block_rate *rate, const kernels_key *key,
    const kernels_drop_block_options *options);

/**
 * Writes the mask of a call as bits: bit i mod 32 of word i / 32, lowest first, is 1 where cell i is kept. Cells
 * are numbered in the dense order [sample, channel, depth, height, width] whatever the layout, without the channel
 * where channels share a mask.
 * @param stream Queue to run in.
 * @param mask Output, shape [ceil(cells / 32)]; bits past the end are 0.
 * @param shape Shape of the call's input.
 * @param shape_count How many shape has.
 * @param block_size As in forward.
 * @param block_size_count How many block_size has.
 * @param rate As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_drop_block_export_mask(
    kernels_stream *stream, const kernels_tensor *mask, const int64_t *shape, int64_t shape_count,
    const int64_t *block_size, int64_t block_size_count, const kernels_drop_block_rate *rate,
    const kernels_key *key, const kernels_drop_block_options *options);

/**
 * What a rate comes to for a map and a block: the realised gamma and the expected share of dropped cells. Cached.
 * @param map Cells along each spatial axis, one to three of them.
 * @param map_count How many map has.
 * @param block_size Cells of a block along each spatial axis, or one size for all.
 * @param block_size_count How many block_size has.
 * @param rate How much to drop.
 * @param gamma Gets gamma.
 * @param drop_probability Gets drop_probability.
 */
KERNELS_API kernels_status kernels_drop_block_plan(
    const int64_t *map, int64_t map_count, const int64_t *block_size, int64_t block_size_count,
    const kernels_drop_block_rate *rate, double *gamma, double *drop_probability);

/**
 * How many scales a call has: one for all, or one for each sample or map that is normalised on its own.
 * @param shape Shape of the call's input.
 * @param shape_count How many shape has.
 * @param options (optional) As in forward.
 * @param result Gets the result.
 */
KERNELS_API kernels_status kernels_drop_block_scale_count(
    const int64_t *shape, int64_t shape_count, const kernels_drop_block_options *options, int64_t *result);

/**
 * Training, with the mask kept for kernels_drop_block_backward_with_mask: y = m * x * scale, as
 * kernels_drop_block_forward makes it.
 * @param stream Queue to run in.
 * @param x Input: [batch, channels, ...] or [batch, ..., channels] with one to three spatial axes.
 * @param y Output, shape of x; may be x.
 * @param mask Output, shape [ceil(cells / 32)]: the mask as kernels_drop_block_export_mask writes it.
 * @param scales Output, shape [kernels_drop_block_scale_count]: what kept cells are multiplied by, in the order
 *     of samples, and of maps in a sample.
 * @param block_size Cells of a block along each spatial axis, or one size for all.
 * @param block_size_count How many block_size has.
 * @param rate How much to drop.
 * @param key Random key; one offset for each call.
 * @param options (optional) Layout, shared channels, normalisation, filling, shard.
 */
KERNELS_API kernels_status kernels_drop_block_forward_with_mask(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_tensor *mask,
    const kernels_tensor *scales, const int64_t *block_size, int64_t block_size_count,
    const kernels_drop_block_rate *rate, const kernels_key *key, const kernels_drop_block_options *options);

/**
 * Gradient with the mask that forward kept: dx = m * dy * scale; 0 in the blocks, whatever fills them.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param mask That of kernels_drop_block_forward_with_mask.
 * @param scales Those of kernels_drop_block_forward_with_mask.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_drop_block_backward_with_mask(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *mask, const kernels_tensor *scales,
    const kernels_tensor *dx, const kernels_drop_block_options *options);

/* --- DropConnect ------------------------------------------------------------------------------------------------ */

/*
 * DropConnect: a linear layer that drops each weight and each bias anew for every example, y[b, o] = (sum over i of
 * m[b, o, i] w[o, i] x[b, i] + m'[b, o] bias[o]) / q in training, with P(m = 1) = P(m' = 1) = q; a moment-matched
 * normal distribution at inference (kernels_drop_connect_infer). Weight (o, i) of example b has the mask index (b *
 * outputs + o) * inputs + i, its bias 2^63 + b * outputs + o; index k takes kernels_philox_lane k and is kept iff
 * lane < T, q = T/65536 (kernels_keep_threshold). The bits are drawn where they are used: no mask of batch *
 * outputs * inputs exists anywhere, and kernels_drop_connect_backward draws the same again. One key serves weights
 * and bias; it may be in device memory. A dropped product counts as +0, also where weight or input is NaN or
 * infinite. p = 0 is Linear, p = 1 gives zeros, both without drawing. Types: float, Half, BFloat16, double; sums in
 * float (double for double) in a fixed order, so that every run gives the same bits. Dimensions of 0 are valid. L.
 * Wan, M. Zeiler, S. Zhang, Y. LeCun and R. Fergus, "Regularization of neural networks using DropConnect", ICML
 * 2013. (What EfficientNet calls drop connect is stochastic depth.) Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, a result that overlaps an argument, or a tensor on
 * another device, and KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1] or a shard
 * whose masks would exceed the index range, before anything is launched.
 */

/**
 * Training.
 * @param stream Queue to run in.
 * @param x Input, shape [batch, in].
 * @param weight Shape [out, in].
 * @param bias (optional) Shape [out], or NULL for none.
 * @param y Output, shape [batch, out]; overlaps no input.
 * @param drop_probability Probability p to drop a weight of an example, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Scaling and shard start.
 */
KERNELS_API kernels_status kernels_drop_connect_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *weight, const kernels_tensor *bias,
    const kernels_tensor *y, double drop_probability, const kernels_key *key,
    const kernels_drop_connect_options *options);

/**
 * The gradients of the forward call that had the same key, probability and options.
 * @param stream Queue to run in.
 * @param x Input of the forward call, shape [batch, in].
 * @param weight Shape [out, in].
 * @param dy Gradient of the output, shape [batch, out].
 * @param dx (optional) Gradient of the input, shape [batch, in], or NULL when it is not needed.
 * @param d_weight Gradient of the weight, shape [out, in].
 * @param d_bias (optional) Gradient of the bias, shape [out], or NULL for a layer without one.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_drop_connect_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *weight, const kernels_tensor *dy,
    const kernels_tensor *dx, const kernels_tensor *d_weight, const kernels_tensor *d_bias,
    double drop_probability, const kernels_key *key, const kernels_drop_connect_options *options);

/**
 * Inference: y = the mean over samples of a(u), u drawn from the normal distribution with the mean and variance of
 * the training pre-activation under random masks. Under original scaling (Wan et al., section 3.2) u ~ N(q (w x +
 * b), q (1 - q) (w^2 x^2 + b^2)), squares element by element. A layer trained under inverted scaling computes u /
 * q, so there u ~ N(w x + b, (1 - q)/q (w^2 x^2 + b^2)). Pass the options of training. This is not the same as a
 * mean network, y = a(w x + b), unless a is linear. Sample s of example b and output o is normal number (b *
 * outputs + o) * samples + s as GaussianNoise numbers them. Where the variance is 0 (p = 0 among others) nothing is
 * drawn and y = a(mean). p = 1 gives a(0) everywhere.
 * @param stream Queue to run in.
 * @param x Input, shape [batch, in].
 * @param weight Shape [out, in].
 * @param bias (optional) Shape [out], or NULL for none.
 * @param y Output, shape [batch, out]; overlaps no other argument.
 * @param mean (optional) Receives the mean of u, shape [batch, out], or NULL.
 * @param variance (optional) Receives the variance of u, shape [batch, out], or NULL.
 * @param drop_probability The probability of training.
 * @param activation What follows the layer.
 * @param samples How many samples are averaged, at least 1.
 * @param key Random key; one offset for each call.
 * @param options (optional) The options of training.
 */
KERNELS_API kernels_status kernels_drop_connect_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *weight, const kernels_tensor *bias,
    const kernels_tensor *y, const kernels_tensor *mean, const kernels_tensor *variance, double drop_probability,
    kernels_drop_connect_activation activation, int64_t samples, const kernels_key *key,
    const kernels_drop_connect_options *options);

/* --- DropWeight ------------------------------------------------------------------------------------------------- */

/*
 * Weight dropout: one mask a step for a weight matrix, shared by all examples and time steps, w' = m * w / q with
 * P(m = 1) = q. At inference the weight is used as it is. This is Dropout of the weight: element i (plus the global
 * start) takes kernels_philox_lane i. AWD-LSTM applies it to the hidden-to-hidden matrices of a recurrent net
 * before the sequence is run, and the optimizer keeps updating w itself; DropConnect draws a mask for each example
 * instead. Dropped elements are +0, NaN and infinities included. p = 0 copies, p = 1 writes zeros, both without
 * drawing. Types: float, Half, BFloat16, double; any shape, including empty. S. Merity, N. S. Keskar and R. Socher,
 * "Regularizing and optimizing LSTM language models", ICLR 2018. Both methods throw KERNELS_STATUS_INVALID_ARGUMENT
 * for shapes that differ, tensors that overlap in part or live on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1], before anything is launched.
 */

/**
 * Training: the weight to use for this step.
 * @param stream Queue to run in.
 * @param weight The layer's weight, any shape.
 * @param dropped Receives the weight of this step, shape of weight; may be weight.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each step and weight.
 * @param global_start Index of the first element in the whole weight of which the argument is a shard.
 */
KERNELS_API kernels_status kernels_drop_weight_forward(
    kernels_stream *stream, const kernels_tensor *weight, const kernels_tensor *dropped, double drop_probability,
    const kernels_key *key, uint64_t global_start);

/**
 * Gradient of the weight, m / q times that of the step's weight, with the mask of the forward call that had the
 * same key, probability and start.
 * @param stream Queue to run in.
 * @param d_dropped Gradient of the step's weight, summed over examples and time steps; any shape.
 * @param d_weight Gradient of the weight, shape of d_dropped; may be d_dropped.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param global_start As in forward.
 */
KERNELS_API kernels_status kernels_drop_weight_backward(
    kernels_stream *stream, const kernels_tensor *d_dropped, const kernels_tensor *d_weight,
    double drop_probability, const kernels_key *key, uint64_t global_start);

/* --- Dropout ---------------------------------------------------------------------------------------------------- */

/*
 * Dropout: y = m * x / q in training, with m drawn per element, P(m = 1) = q; the identity at inference. Element i
 * (plus global_start) takes kernels_philox_lane i and is kept iff lane < T; q = T/65536 is the realised keep
 * probability (kernels_keep_threshold), so E[y] = x. The mask is not stored: kernels_dropout_backward draws it
 * again from the same key. It does not depend on the device, the launch or how the tensor is sharded. Dropped
 * elements are +0 also where x is NaN or infinite; kept NaN and infinities stay. p = 0 copies, p = 1 writes zeros,
 * both without drawing. Types: float, Half, BFloat16, double; the product is rounded once. Any shape, including
 * empty; the destination may be the source itself. N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R.
 * Salakhutdinov, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014. Every method
 * gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that differ, tensors that overlap in part or live on another
 * device, and KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1], before anything is
 * launched.
 */

/**
 * Training: y = m * x / q (inverted scaling) or y = m * x (original scaling).
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Scaling and shard start.
 */
KERNELS_API kernels_status kernels_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    const kernels_key *key, const kernels_dropout_options *options);

/**
 * Gradient: dx = m * dy / q (or m * dy) with the mask of the forward call that had the same key, probability and
 * options.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, any shape.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_dropout_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, double drop_probability,
    const kernels_key *key, const kernels_dropout_options *options);

/**
 * Inference: y = x under inverted scaling, y = q * x under original scaling. Draws nothing.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x, which costs nothing under inverted scaling.
 * @param drop_probability The probability of training.
 * @param scaling The scaling of training.
 */
KERNELS_API kernels_status kernels_dropout_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    kernels_dropout_scaling scaling);

/**
 * Writes the mask of a call as bits: bit i mod 32 of word i / 32, lowest first, is 1 where element i is kept.
 * @param stream Queue to run in.
 * @param mask Output, shape [ceil(count / 32)]; bits past the end are 0.
 * @param count Number of elements.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward; the scaling does not matter.
 */
KERNELS_API kernels_status kernels_dropout_export_mask(
    kernels_stream *stream, const kernels_tensor *mask, int64_t count, double drop_probability,
    const kernels_key *key, const kernels_dropout_options *options);

/**
 * Forward or backward under a mask of one's own: y = bit * x / q (or bit * x), with bits as
 * kernels_dropout_export_mask writes them.
 * @param stream Queue to run in.
 * @param x Input (or gradient of the output), any shape.
 * @param mask Bits, shape [ceil(length / 32)].
 * @param y Output (or gradient of the input), shape of x; may be x.
 * @param drop_probability The probability the mask was made with, for the scale.
 * @param scaling The place where dropout makes up for the dropped elements: training or inference.
 */
KERNELS_API kernels_status kernels_dropout_apply_mask(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *mask, const kernels_tensor *y,
    double drop_probability, kernels_dropout_scaling scaling);

/**
 * Words of a packed mask for count elements.
 * @param result Gets the result.
 */
KERNELS_API kernels_status kernels_dropout_mask_words(int64_t count, int64_t *result);

/* --- EmbeddingDropout ------------------------------------------------------------------------------------------- */

/*
 * Embedding dropout, the gather fused with dropout of whole rows: y[n] = m(unit of n) * table[id[n]] / q in
 * training, with P(m = 1) = q; the plain gather at inference. Unit u takes kernels_philox_lane u and is kept iff
 * lane < T, q = T/65536 (kernels_keep_threshold). The decision is made for each id that is met: no mask of the
 * vocabulary and no copy of the table exists. Dropped rows are +0 and are not read. p = 0 gathers and p = 1 writes
 * zeros, both without drawing. Backward sorts the positions by id on the device and adds the rows of each id in the
 * order of their positions, so the gradient has the same bits in every run. It adds to what the caller's tensor
 * holds and touches only rows whose id occurs. Scratch memory: 16 bytes an id. An id outside the table gives a row
 * of zeros and no gradient, and the next synchronisation of the stream throws a KERNELS_STATUS_BAD_DATA with its
 * position. Types: float, Half, BFloat16, double; sums in float (double for double), rounded once. Empty ids and
 * rows are valid. S. Merity, N. S. Keskar and R. Socher, "Regularizing and optimizing LSTM language models", ICLR
 * 2018; Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks",
 * NeurIPS 2016. Every method throws, before anything is launched, KERNELS_STATUS_INVALID_ARGUMENT for shapes that
 * do not fit, a result that overlaps an argument, or a tensor on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1] or a padding index outside the
 * table.
 */

/**
 * Training.
 * @param stream Queue to run in.
 * @param ids Rows to gather, any shape ([sequences, length] for the scope of sequences), each in [0,
 *     vocabulary).
 * @param table Shape [vocabulary, width].
 * @param y Output, the shape of ids with the width appended; overlaps no input.
 * @param drop_probability Probability p to drop a unit, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Scope and shard start.
 */
KERNELS_API kernels_status kernels_embedding_dropout_forward(
    kernels_stream *stream, const kernels_tensor *ids, const kernels_tensor *table, const kernels_tensor *y,
    double drop_probability, const kernels_key *key, const kernels_embedding_dropout_options *options);

/**
 * Inference: y[n] = table[id[n]].
 * @param stream Queue to run in.
 * @param ids Rows to gather, any shape, each in [0, vocabulary).
 * @param table Shape [vocabulary, width].
 * @param y Output, the shape of ids with the width appended; overlaps no input.
 */
KERNELS_API kernels_status kernels_embedding_dropout_infer(
    kernels_stream *stream, const kernels_tensor *ids, const kernels_tensor *table, const kernels_tensor *y);

/**
 * Gradient: dTable[id] += sum of m * dy[n] / q over the id's positions, with the decisions of the forward call that
 * had the same arguments.
 * @param stream Queue to run in.
 * @param ids As in forward.
 * @param dy Gradient of the output.
 * @param d_table Gradient of the table, shape [vocabulary, width], which is added to; overlaps no input.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward, and the padding index.
 */
KERNELS_API kernels_status kernels_embedding_dropout_backward(
    kernels_stream *stream, const kernels_tensor *ids, const kernels_tensor *dy, const kernels_tensor *d_table,
    double drop_probability, const kernels_key *key, const kernels_embedding_dropout_options *options);

/* --- Entropy ---------------------------------------------------------------------------------------------------- */

/*
 * Entropy of softmax rows, in nats: H[n] = -sum over k of p[n, k] * log p[n, k], p = softmax(z[n]) over the classes
 * that are not masked. Signs: kernels_entropy_backward gives the gradient of the entropy itself, dz[k] = scale *
 * dH[n] * -p[k] (log p[k] + H[n]), so a step along it makes rows more uniform. A loss that is minimised and should
 * keep the entropy up (the bonus of policy gradients, L - beta * mean H, or a confidence penalty) passes dH = -beta
 * / rows; entropy minimisation (Grandvalet and Bengio, 2005), L + beta * mean H, passes the same with a plus. A
 * class takes no part where its logit is -Inf or its mask is 0: probability 0, 0 * log 0 = 0, gradient +0. A row
 * without classes has the entropy 0 and gradient +0. Other NaN and +Inf logits make the row's entropy, and the
 * gradient of its classes that take part, NaN. A dH that is not finite counts as NaN; a row whose dH is 0 is not
 * read and has the gradient +0, whatever its logits. Logits and gradients are float, Half, BFloat16 or double.
 * Entropies and their gradients are float, double for double, as is the arithmetic. Sums have a fixed order. Up to
 * 2^24 classes. R. J. Williams and J. Peng, "Function optimization using connectionist reinforcement learning
 * algorithms", 1991; V. Mnih et al., ICML 2016. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes or
 * types that do not fit, a result that overlaps an argument, or a tensor on another device, before anything is
 * launched.
 */

/**
 * The entropy of each row.
 * @param stream Queue to run in.
 * @param logits Shape [rows, classes].
 * @param mask (optional) 0 for classes that take no part, shape of logits; NULL when all do.
 * @param entropies Result, shape [rows].
 */
KERNELS_API kernels_status kernels_entropy_forward(
    kernels_stream *stream, const kernels_tensor *logits, const kernels_tensor *mask,
    const kernels_tensor *entropies);

/**
 * Gradient: dz[n, k] = gradientScale * dH[n] * -p[n, k] * (log p[n, k] + H[n]).
 * @param stream Queue to run in.
 * @param logits As in forward.
 * @param mask (optional) As in forward.
 * @param entropy_gradient dH, in device memory: shape [rows], or [1] for all rows.
 * @param d_logits Gradient, shape of logits; may be logits.
 * @param gradient_scale Factor of the gradient.
 */
KERNELS_API kernels_status kernels_entropy_backward(
    kernels_stream *stream, const kernels_tensor *logits, const kernels_tensor *mask,
    const kernels_tensor *entropy_gradient, const kernels_tensor *d_logits, double gradient_scale);

/* --- Equalize --------------------------------------------------------------------------------------------------- */

/*
 * In images, with some probability the levels of each channel become equally likely. One case of Augment, which
 * says how images are read, drawn for and refused. E. Cubuk, B. Zoph, D. Mane, V. Vasudevan and Q. Le,
 * "AutoAugment: learning augmentation strategies from data", CVPR 2019.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param probability Probability of a sample.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_equalize_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    double probability, const kernels_key *key, const kernels_augment_options *options);

/* --- FeatureExtrapolate ----------------------------------------------------------------------------------------- */

/*
 * Extrapolation in feature space: y = x + l (x - neighbour), away from a row of the same class. As
 * FeatureInterpolate, with draws of its own: the sum is (1 + l) x - l neighbour. In the paper it is the one that
 * helps most, with l = 0.5. T. DeVries and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop
 * 2017.
 */

/**
 * y = (1 + l) x - l pool[neighbour].
 * @param stream Queue to run in.
 * @param x [rows, ...].
 * @param sample_ids (optional) Number of each row's sample, [rows]; NULL: they are numbered from first_sample
 *     on.
 * @param pool Where the neighbours are, [pool rows, ...]; may be x.
 * @param neighbours Rows of the pool for each row, [rows, most], -1 after the last: SameClassNeighbours.
 * @param y Output, shape of x.
 * @param step l, in [0, 1000]; the paper's is 0.5.
 * @param key Random key: seed, and the epoch as offset.
 * @param first_sample Number of the first row's sample where no sample numbers are given.
 */
KERNELS_API kernels_status kernels_feature_extrapolate_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *pool,
    const kernels_tensor *neighbours, const kernels_tensor *y, const kernels_augment_range *step,
    const kernels_key *key, uint64_t first_sample);

/* --- FeatureInterpolate ----------------------------------------------------------------------------------------- */

/*
 * Interpolation in feature space: y = x + l (neighbour - x), towards a row of the same class. The neighbour is a
 * uniform one of those of the row (word 0 of draw 0 of its sample), l is uniform in its range (word 1), the sum is
 * (1 - l) x + l neighbour in one fused multiply-add of a rounded product. All of it follows from key, sample number
 * and neighbours, so a sample fares alike in every batch, order and shard. A row without neighbours is copied.
 * Features are data here, so there is no gradient. Types: float, Half, BFloat16, double; tensors without elements
 * are a no-op. T. DeVries and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop 2017. Throws
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors that overlap or live on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for a range that is reversed or out of bounds; a neighbour that is neither -1 nor
 * a row gives KERNELS_STATUS_BAD_DATA at the next synchronisation.
 */

/**
 * y = (1 - l) x + l pool[neighbour].
 * @param stream Queue to run in.
 * @param x [rows, ...].
 * @param sample_ids (optional) Number of each row's sample, [rows]; NULL: they are numbered from first_sample
 *     on.
 * @param pool Where the neighbours are, [pool rows, ...]; may be x.
 * @param neighbours Rows of the pool for each row, [rows, most], -1 after the last: SameClassNeighbours.
 * @param y Output, shape of x.
 * @param step l, in [0, 1]; the paper's is 0.5.
 * @param key Random key: seed, and the epoch as offset.
 * @param first_sample Number of the first row's sample where no sample numbers are given.
 */
KERNELS_API kernels_status kernels_feature_interpolate_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *pool,
    const kernels_tensor *neighbours, const kernels_tensor *y, const kernels_augment_range *step,
    const kernels_key *key, uint64_t first_sample);

/* --- FeatureNoise ----------------------------------------------------------------------------------------------- */

/*
 * Noise in feature space: y = x + gamma sigma z, with z standard normal and sigma the standard deviation of the
 * feature within the row's class, or over all rows. Feature j of a row takes normal number j mod 4 (see
 * GaussianNoise) of block 12 * 2^32 + 2^16 + j / 4 of the key of the row's sample, so a sample gets the same noise
 * in every batch, order and shard. The noise is float also for double tensors. The gradient of the input is that of
 * the output. Types: float, Half, BFloat16, double; tensors without elements are a no-op. T. DeVries and G. W.
 * Taylor, "Dataset augmentation in feature space", ICLR workshop 2017, whose gamma is 0.5. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors that overlap in part or live on another
 * device, and KERNELS_STATUS_INVALID_ARGUMENT for a factor that is negative or not finite; a label outside the
 * classes gives KERNELS_STATUS_BAD_DATA at the next synchronisation.
 */

/**
 * Standard deviations of the features of each class, over the rows of that class (divided by their number); 0 for
 * less than two rows. Rows with labels outside the classes are left out.
 * @param stream Queue to run in.
 * @param features [rows, features].
 * @param labels (optional) Classes, [rows]; NULL: all rows are of class 0.
 * @param deviations Output [classes, features]: float, or double for double features.
 */
KERNELS_API kernels_status kernels_feature_noise_deviations(
    kernels_stream *stream, const kernels_tensor *features, const kernels_tensor *labels,
    const kernels_tensor *deviations);

/**
 * y = x + factor sigma z.
 * @param stream Queue to run in.
 * @param x [rows, features].
 * @param sample_ids (optional) Number of each row's sample, [rows]; NULL: they are numbered from first_sample
 *     on.
 * @param labels (optional) Classes, [rows]; NULL: all rows are of class 0.
 * @param deviations sigma, [classes, features]: float, or double for double features.
 * @param y Output, shape of x; may be x.
 * @param factor gamma, finite and at least 0.
 * @param key Random key: seed, and the epoch as offset.
 * @param first_sample Number of the first row's sample where no sample numbers are given.
 */
KERNELS_API kernels_status kernels_feature_noise_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids,
    const kernels_tensor *labels, const kernels_tensor *deviations, const kernels_tensor *y, double factor,
    const kernels_key *key, uint64_t first_sample);

/* --- Flip ------------------------------------------------------------------------------------------------------- */

/*
 * In images, left and right change places with one probability, top and bottom with another. One case of Augment,
 * which says how images are read, drawn for and refused. L. Taylor and G. Nitschke, "Improving deep learning with
 * generic data augmentation", SSCI 2018.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param horizontal_probability Probability that left and right change places.
 * @param vertical_probability Probability that top and bottom change places.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_flip_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    double horizontal_probability, double vertical_probability, const kernels_key *key,
    const kernels_augment_options *options);

/* --- GanLoss ---------------------------------------------------------------------------------------------------- */

/*
 * Losses of generative adversarial networks from the discriminator's logits: for each side the value, the share of
 * logits above 0 and the gradient, in one pass. softplus(z) = log(1 + e^z), which overflows for no z. Each side has
 * its own mean, so the numbers of real and generated logits may differ; the mean of none is 0. The gradient at the
 * corner of a hinge is 0. The share of logits above 0 is what adaptive discriminator augmentation goes by:
 * E[sign(D(x))] = 2 share - 1 (T. Karras et al., "Training generative adversarial networks with limited data",
 * NeurIPS 2020). Logits and gradients are float, Half, BFloat16 or double; summaries and the loss gradient are
 * float, double for double, as is the arithmetic. Sums have an order that depends on the numbers of logits alone.
 * NaN makes its side's loss NaN and is not above 0; so is its gradient, but in the hinge, whose slopes are
 * constants. A loss gradient that is not finite counts as NaN. Every method gives KERNELS_STATUS_INVALID_ARGUMENT
 * for shapes or types that do not fit, results that overlap one another or an argument in part, or a tensor on
 * another device, and KERNELS_STATUS_INVALID_ARGUMENT for settings outside their range, before anything is
 * launched.
 */

/**
 * The discriminator's losses and their gradients.
 * @param stream Queue to run in.
 * @param real_logits Logits of real samples, any shape.
 * @param generated_logits Logits of generated samples, any shape.
 * @param loss_gradient (optional) A factor of the gradients in device memory, shape [1]; NULL for 1.
 * @param summary Result, shape [4]: the loss of the real logits, that of the generated ones (the
 *     discriminator's loss is their sum), the share of real logits above 0, that of generated ones. Not scaled.
 * @param d_real (optional) Gradient of the real logits, their shape, or NULL when it is not needed; may be the
 *     logits.
 * @param d_generated (optional) Gradient of the generated logits, their shape, or NULL when it is not needed;
 *     may be the logits.
 * @param gradient_scale Factor of the gradients, finite.
 * @param form Which losses.
 */
KERNELS_API kernels_status kernels_gan_loss_discriminator(
    kernels_stream *stream, const kernels_tensor *real_logits, const kernels_tensor *generated_logits,
    const kernels_tensor *loss_gradient, const kernels_tensor *summary, const kernels_tensor *d_real,
    const kernels_tensor *d_generated, double gradient_scale, kernels_gan_loss_form form);

/**
 * The generator's loss and its gradient.
 * @param stream Queue to run in.
 * @param generated_logits Logits of generated samples, any shape.
 * @param loss_gradient (optional) A factor of the gradient in device memory, shape [1]; NULL for 1.
 * @param summary Result, shape [2]: the loss, and the share of logits above 0. Not scaled.
 * @param d_generated (optional) Gradient of the logits, their shape, or NULL when it is not needed; may be the
 *     logits.
 * @param gradient_scale Factor of the gradient, finite.
 * @param form Which loss.
 */
KERNELS_API kernels_status kernels_gan_loss_generator(
    kernels_stream *stream, const kernels_tensor *generated_logits, const kernels_tensor *loss_gradient,
    const kernels_tensor *summary, const kernels_tensor *d_generated, double gradient_scale,
    kernels_gan_loss_form form);

/* --- GaussianDropout -------------------------------------------------------------------------------------------- */

/*
 * Gaussian dropout: y = x * (1 + sigma * z) in training, with z standard normal and sigma^2 = p / (1 - p), the
 * variance of inverted dropout with drop probability p; the identity at inference. The normal numbers are those of
 * GaussianNoise. They are drawn again in backward, nothing is stored; where memory is faster than arithmetic,
 * kernels_gaussian_dropout_forward_with_factors stores the factors for
 * kernels_gaussian_dropout_backward_with_factors. p lies in [0, 1); p = 0 copies without drawing, and p = 1 has no
 * finite variance. A NaN stays NaN, an infinity becomes one of either sign. N. Srivastava et al., JMLR 15, 2014,
 * section 10.
 */

/**
 * sigma = sqrt(p / (1 - p)).
 * @param result Gets the result.
 */
KERNELS_API kernels_status kernels_gaussian_dropout_standard_deviation(double drop_probability, double *result);

/**
 * Training: y = x * (1 + sigma * z).
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 * @param drop_probability p in [0, 1).
 * @param key Random key; one offset for each call.
 * @param global_start Index of the first element in the whole tensor of which the argument is a shard.
 */
KERNELS_API kernels_status kernels_gaussian_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    const kernels_key *key, uint64_t global_start);

/**
 * Gradient: dx = dy * (1 + sigma * z) with the numbers of the forward call that had the same key, probability and
 * start.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, any shape.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param global_start As in forward.
 */
KERNELS_API kernels_status kernels_gaussian_dropout_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, double drop_probability,
    const kernels_key *key, uint64_t global_start);

/**
 * Training, with factors that are kept for backward: factor = 1 + sigma * z, y = x * factor. Factors of half types
 * are rounded to them, and y is made with what is stored, so that backward gives its gradient; of float and double
 * y is that of kernels_gaussian_dropout_forward.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 * @param factors Output, shape of x: the factors; overlaps no other.
 * @param drop_probability p in [0, 1).
 * @param key Random key; one offset for each call.
 * @param global_start Index of the first element in the whole tensor of which the argument is a shard.
 */
KERNELS_API kernels_status kernels_gaussian_dropout_forward_with_factors(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_tensor *factors,
    double drop_probability, const kernels_key *key, uint64_t global_start);

/**
 * Gradient with the factors that forward kept: dx = dy * factor.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, any shape.
 * @param factors Those of kernels_gaussian_dropout_forward_with_factors, shape of dy.
 * @param dx Gradient of the input, shape of dy; may be dy or factors.
 */
KERNELS_API kernels_status kernels_gaussian_dropout_backward_with_factors(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *factors, const kernels_tensor *dx);

/* --- GaussianNoise ---------------------------------------------------------------------------------------------- */

/*
 * Additive Gaussian noise in training: y = x + sigma * z, with z standard normal; the identity at inference.
 * Element i (plus the global start) takes normal i mod 4 of Philox block i / 4: words 0 and 1 of a block give
 * normals 0 and 1, words 2 and 3 normals 2 and 3, by Box and Muller's method with u = (word + 1/2) / 2^32 for the
 * radius and the next word for the angle. Logarithm, sine and cosine are polynomials in fused multiply-adds, so
 * devices whose square root is correctly rounded (CPU, CUDA) draw the same bits and others agree within 4 units in
 * the last place. The noise is calculated in float, also for double tensors. Types: float, Half, BFloat16, double;
 * any shape, including empty; the destination may be the source. The gradient of the input is the gradient of the
 * output.
 */

/**
 * Training: y = x + sigma * z.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 * @param standard_deviation sigma, finite and at least 0; 0 copies without drawing.
 * @param key Random key; one offset for each call.
 * @param global_start Index of the first element in the whole tensor of which the argument is a shard.
 */
KERNELS_API kernels_status kernels_gaussian_noise_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double standard_deviation,
    const kernels_key *key, uint64_t global_start);

/* --- GhostBatchNorm --------------------------------------------------------------------------------------------- */

/*
 * Ghost batch normalization: BatchNorm of every so many samples by themselves, so that a large batch is regularized
 * as small ones are. A ghost batch is ghostSize samples that follow each other; their number divides the batch.
 * Each has mean and variance of its own for every channel; gamma and beta are shared. The running values move on
 * ghost batch by ghost batch, in order. Inference is that of BatchNorm. Statistics have the shape [3, batch /
 * ghostSize, channels]; all else is as there. E. Hoffer, I. Hubara and D. Soudry, "Train longer, generalize better:
 * Closing the generalization gap in large batch training of neural networks", NeurIPS 2017.
 */

/**
 * Training: every ghost batch by its own statistics.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions.
 * @param gamma (optional) Factor of each channel, shape [channels], or NULL for 1.
 * @param beta (optional) What is added to each channel, shape [channels], or NULL for 0.
 * @param y Output, shape of x.
 * @param statistics Output for Backward , shape [3, batch / ghostSize, channels].
 * @param running_mean (optional) Running mean, shape [channels], or NULL.
 * @param running_variance (optional) Running variance, shape [channels]; NULL when running_mean is.
 * @param ghost_size Samples of a ghost batch; divides the batch.
 * @param options (optional) Layout, epsilon, and how running values move on.
 */
KERNELS_API kernels_status kernels_ghost_batch_norm_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *y, const kernels_tensor *statistics, const kernels_tensor *running_mean,
    const kernels_tensor *running_variance, int64_t ghost_size, const kernels_batch_norm_options *options);

/**
 * Gradients of training; those of gamma and beta are sums over the ghost batches.
 * @param stream Queue to run in.
 * @param x As in forward.
 * @param gamma (optional) As in forward.
 * @param statistics What forward gave.
 * @param dy Gradient of the output.
 * @param dx Gradient of x, shape of x; may be dy.
 * @param d_gamma (optional) Gradient of gamma, shape [channels], or NULL when it is not needed.
 * @param d_beta (optional) Gradient of beta, shape [channels], or NULL when it is not needed.
 * @param ghost_size As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_ghost_batch_norm_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *statistics,
    const kernels_tensor *dy, const kernels_tensor *dx, const kernels_tensor *d_gamma,
    const kernels_tensor *d_beta, int64_t ghost_size, const kernels_batch_norm_options *options);

/* --- KeptRows --------------------------------------------------------------------------------------------------- */

/*
 * The rows that StochasticDepth keeps under the same key and probability: their list, and the way of their elements
 * to a compact tensor and back, so that the branch of a residual block is calculated for them alone.
 * KeptRows.List(stream, rows, kept, dropProbability, key); // on the device; KeptRows.OnHost where the host must
 * know how many KeptRows.Gather(stream, x, rows, keptX); // then f = branch(keptX) KeptRows.ScatterAdd(stream, x,
 * f, rows, y, StochasticDepth.TrainingScale(dropProbability)); y has the bits of kernels_stochastic_depth_forward.
 * The list ascends, so sums need no atomics and every run gives the same bits. kernels_kept_rows_gather and
 * kernels_kept_rows_scatter_add are each other's gradient: that of the gathered rows is scattered (without x), that
 * of f is gathered with the same scale. A list may be longer than the rows are many: -1 after the last row stands
 * for none, is gathered as zeros and scattered nowhere. An index that is neither -1 nor a row, or in
 * kernels_kept_rows_scatter_add does not come after the one before it, makes the next synchronisation throw
 * KERNELS_STATUS_BAD_DATA; gathered, it gives zeros. Types: float, Half, BFloat16, double. Every method throws,
 * before anything is launched, KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit and tensors that overlap
 * otherwise than stated or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for a probability that is
 * NaN or outside [0, 1] or a scale that is not finite.
 */

/**
 * Lists the kept rows on the device: ascending indices, -1 after the last, and how many they are.
 * @param stream Queue to run in.
 * @param rows Output, shape [number of rows]; at most 2^31 - 1.
 * @param kept Output, shape [1].
 * @param drop_probability Probability p to drop a row, in [0, 1].
 * @param key Random key, that of StochasticDepth.
 * @param global_start Index of the first row in the whole batch of which this is a shard.
 */
KERNELS_API kernels_status kernels_kept_rows_list(
    kernels_stream *stream, const kernels_tensor *rows, const kernels_tensor *kept, double drop_probability,
    const kernels_key *key, uint64_t global_start);

/**
 * The same list, without padding, for a host that must know how many rows there are.
 * @param count Number of rows.
 * @param drop_probability Probability p to drop a row, in [0, 1].
 * @param key Random key, that of StochasticDepth.
 * @param global_start Index of the first row in the whole batch of which this is a shard.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_kept_rows_on_host(
    int32_t count, double drop_probability, const kernels_key *key, uint64_t global_start, int32_t *result,
    int64_t result_capacity, int64_t *result_count);

/**
 * result[i] = scale * source[rows[i]].
 * @param stream Queue to run in.
 * @param source [rows, ...].
 * @param rows Indices, shape [at least the rows of result]; those beyond are not read.
 * @param result Output, [rows to gather, ...].
 * @param scale Factor, 1 for the rows themselves.
 */
KERNELS_API kernels_status kernels_kept_rows_gather(
    kernels_stream *stream, const kernels_tensor *source, const kernels_tensor *rows, const kernels_tensor *result,
    double scale);

/**
 * y = x + scale * f[i] in the rows rows[i], y = x in the others.
 * @param stream Queue to run in.
 * @param x (optional) [rows, ...], or NULL for zeros.
 * @param f [kept rows, ...].
 * @param rows Ascending indices, -1 after the last, shape [at least the rows of f]; those beyond are not read.
 * @param y Output, shape of x; may be x, whose other rows then cost nothing.
 * @param scale Factor, kernels_stochastic_depth_training_scale.
 */
KERNELS_API kernels_status kernels_kept_rows_scatter_add(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *f, const kernels_tensor *rows,
    const kernels_tensor *y, double scale);

/* --- LeakyRelu -------------------------------------------------------------------------------------------------- */

/*
 * The leaky rectifier: y = x where x > 0, else negativeSlope * x. NaN stays NaN, -0 stays -0. A slope of 0 makes it
 * max(x, 0) but for infinity, of which 0 times is NaN; Relu has none of that. Types: float, Half, BFloat16, double;
 * any shape, including empty. A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network
 * acoustic models", ICML 2013.
 */

/**
 * y = x where x > 0, else negativeSlope * x.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 * @param negative_slope Factor of what is not positive, finite and at least 0; 0.2 in most discriminators.
 */
KERNELS_API kernels_status kernels_leaky_relu_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double negative_slope);

/**
 * dx = dy where y > 0 (or y is NaN), else negativeSlope * dy. Since y is positive where x is, either may be given.
 * @param stream Queue to run in.
 * @param y Output of the forward call (or its input), any shape.
 * @param dy Gradient of the output, shape of y.
 * @param dx Gradient of the input, shape of y; may be dy or y.
 * @param negative_slope As in the forward call.
 */
KERNELS_API kernels_status kernels_leaky_relu_backward(
    kernels_stream *stream, const kernels_tensor *y, const kernels_tensor *dy, const kernels_tensor *dx,
    double negative_slope);

/* --- Linear ----------------------------------------------------------------------------------------------------- */

/*
 * The linear layer y = x wᵀ + b with the weight stored [out, in], as PyTorch does. Types: float, Half, BFloat16,
 * double; sums in float (double for double). Shapes with 0 rows are valid: the weight's gradient is then 0. With a
 * vendor's matrix product (cuBLAS) the bias is added in a second pass, so half results are rounded twice there.
 */

/**
 * y = x wᵀ + b.
 * @param stream Queue to run in.
 * @param x Input, shape [rows, in].
 * @param weight Shape [out, in].
 * @param bias (optional) Shape [out], or NULL for none.
 * @param y Output, shape [rows, out]; overlaps no input.
 */
KERNELS_API kernels_status kernels_linear_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *weight, const kernels_tensor *bias,
    const kernels_tensor *y);

/**
 * dx = dy w, dw = dyᵀ x, db = sum of the rows of dy.
 * @param stream Queue to run in.
 * @param x Input of the forward call, shape [rows, in].
 * @param weight Shape [out, in].
 * @param dy Gradient of the output, shape [rows, out].
 * @param dx (optional) Gradient of the input, shape [rows, in], or NULL when it is not needed.
 * @param d_weight Gradient of the weight, shape [out, in].
 * @param d_bias (optional) Gradient of the bias, shape [out], or NULL for a layer without one.
 */
KERNELS_API kernels_status kernels_linear_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *weight, const kernels_tensor *dy,
    const kernels_tensor *dx, const kernels_tensor *d_weight, const kernels_tensor *d_bias);

/* --- MatMul ----------------------------------------------------------------------------------------------------- */

/*
 * The matrix product c = op(a) op(b) of row-major matrices, where op may transpose. Types: float, Half, BFloat16,
 * double; sums in float (double for double), rounded once. A dimension of 0 is valid: an empty sum is 0.
 * Implementations in order of preference: the vendor's (cuBLAS, when it can be loaded), then the portable tiled
 * kernel; on the CPU device a blocked, vectorised one. Each gives the same bits in every run on its device.
 */

/**
 * c[m, n] = sum over k of op(a)[m, k] op(b)[k, n].
 * @param stream Queue to run in.
 * @param a Shape [m, k], or [k, m] when transposed.
 * @param b Shape [k, n], or [n, k] when transposed.
 * @param c Result, shape [m, n]; overlaps neither operand.
 * @param options (optional) Which arguments are transposed.
 */
KERNELS_API kernels_status kernels_mat_mul_multiply(
    kernels_stream *stream, const kernels_tensor *a, const kernels_tensor *b, const kernels_tensor *c,
    const kernels_mat_mul_options *options);

/* --- MaxPool2d -------------------------------------------------------------------------------------------------- */

/*
 * Max pooling over maps: y = the largest element of each window. Along each axis there are floor((size + padding -
 * dilation (window - 1) - 1) / stride) + 1 windows; with ceil_mode rounded up, less one that would start in the
 * padding after the map. That is PyTorch's shape. Of several equal elements the first of the window counts, row by
 * row. NaN is larger than anything, and of several NaN the last counts. That is PyTorch's rule too. Forward can
 * note which element counted: its number in the window, in one byte for windows of up to 256 elements, else in an
 * int. Backward then gathers for each element of x the gradients of the windows that took it, in the order of the
 * windows, so it is deterministic, also where windows overlap. Types: float, Half, BFloat16, double. M. Ranzato,
 * Y.-L. Boureau and Y. LeCun, "Sparse feature learning for deep belief networks", NeurIPS 2007. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, a window larger than the padded map, a window without
 * any element of the map, tensors that overlap or live on another device, and KERNELS_STATUS_INVALID_ARGUMENT for a
 * window, stride, dilation or padding out of range, before anything is launched.
 */

/**
 * The shape of the output for an input.
 * @param shape Shape of x: [batch, channels, height, width], or as the layout says.
 * @param shape_count How many shape has.
 * @param window Rows and columns of a window.
 * @param options (optional) Stride, padding, dilation, rounding, layout.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_max_pool2d_output_shape(
    const int64_t *shape, int64_t shape_count, const kernels_size2d *window,
    const kernels_max_pool2d_options *options, int64_t *result, int64_t result_capacity, int64_t *result_count);

/**
 * Training: the largest elements, and which they are.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, height, width], or as the layout says.
 * @param y Output, shape as kernels_max_pool2d_output_shape says.
 * @param indices Output, shape of y: the number in its window of the element that counted, row by row, for
 *     windows of up to 256 elements.
 * @param window Rows and columns of a window.
 * @param options (optional) Stride, padding, dilation, rounding, layout.
 */
KERNELS_API kernels_status kernels_max_pool2d_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_tensor *indices,
    const kernels_size2d *window, const kernels_max_pool2d_options *options);

/**
 * Inference: the largest elements alone.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, height, width], or as the layout says.
 * @param y Output, shape as kernels_max_pool2d_output_shape says.
 * @param window Rows and columns of a window.
 * @param options (optional) Stride, padding, dilation, rounding, layout.
 */
KERNELS_API kernels_status kernels_max_pool2d_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_size2d *window,
    const kernels_max_pool2d_options *options);

/**
 * Gradient: dx = the sum of dy over the windows that took the element.
 * @param stream Queue to run in.
 * @param indices What the forward call wrote.
 * @param dy Gradient of the output, shape of indices.
 * @param dx Gradient of the input, shape of the forward call's input.
 * @param window As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_max_pool2d_backward(
    kernels_stream *stream, const kernels_tensor *indices, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_size2d *window, const kernels_max_pool2d_options *options);

/* --- MeanSquaredError ------------------------------------------------------------------------------------------- */

/*
 * Mean squared error: loss = the mean over all elements of (prediction - target)^2; value and gradient in one pass.
 * d prediction = scale * 2 (prediction - target) / count; the gradient of the targets is its negative. The loss of
 * no elements is 0. Predictions, targets and gradients are float, Half, BFloat16 or double. The loss and its
 * gradient are float, double for double, as is the arithmetic; gradients are rounded once. Sums have an order that
 * depends on the number of elements alone. NaN and infinities reach the loss and their own gradients; a loss
 * gradient that is not finite counts as NaN. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes or types
 * that do not fit, a result that overlaps an argument, or a tensor on another device, before anything is launched.
 */

/**
 * The loss.
 * @param stream Queue to run in.
 * @param predictions Any shape.
 * @param targets Shape of predictions.
 * @param loss Result, shape [1].
 */
KERNELS_API kernels_status kernels_mean_squared_error_forward(
    kernels_stream *stream, const kernels_tensor *predictions, const kernels_tensor *targets,
    const kernels_tensor *loss);

/**
 * The loss and the gradient of the predictions, in one pass.
 * @param stream Queue to run in.
 * @param predictions Any shape.
 * @param targets Shape of predictions.
 * @param loss_gradient (optional) A factor of the gradient in device memory, shape [1]; NULL for 1.
 * @param loss Result, shape [1]; not scaled.
 * @param d_predictions Gradient, shape of predictions; may be predictions unless it accumulates.
 * @param gradient_scale Factor of the gradient, finite: the weight of this loss among others, or a loss scale.
 * @param accumulates True to add the gradient to what is in d_predictions.
 */
KERNELS_API kernels_status kernels_mean_squared_error_forward_backward(
    kernels_stream *stream, const kernels_tensor *predictions, const kernels_tensor *targets,
    const kernels_tensor *loss_gradient, const kernels_tensor *loss, const kernels_tensor *d_predictions,
    double gradient_scale, bool accumulates);

/* --- MinibatchDeviation ----------------------------------------------------------------------------------------- */

/*
 * Minibatch standard deviation: one more channel that says how much the samples of a batch differ, so that a
 * discriminator sees a generator that makes the same image again and again. sample i is in set i mod (batch /
 * groupSize) s[k] = sqrt(mean over the set of (x[k] - mean over the set of x[k])^2 + epsilon) for each feature k:
 * channel and position v = mean over all k of s[k] y = x, and v as one more channel, the same at each position and
 * for each sample of a set dx = dy + (x[k] - mean) / (groupSize s[k]) * (sum over the set's samples and positions
 * of v's dy) / features x is [batch, channels, ...] with any number of positions, or channels last, [batch, ...,
 * channels]; a batch of rows, [batch, features], gets one value more each. Sets are StyleGAN's: their samples lie
 * batch / groupSize apart. Sums are in float (double for double), in a fixed order, and distances are from the
 * set's first sample, so that samples that are alike have a deviation of sqrt(epsilon) exactly. NaN and infinities
 * make v NaN for their set. Types: float, Half, BFloat16, double; tensors without elements are a no-op, and a map
 * without features has v = 0. T. Karras, T. Aila, S. Laine and J. Lehtinen, "Progressive growing of GANs for
 * improved quality, stability, and variation", ICLR 2018. Every method gives KERNELS_STATUS_INVALID_ARGUMENT for
 * shapes that do not fit, a group size that does not divide the batch, tensors that overlap or live on another
 * device, and KERNELS_STATUS_INVALID_ARGUMENT for a group size below 1 or an epsilon that is not finite and above
 * 0, before anything is launched.
 */

/**
 * The shape of y: one channel more.
 * @param shape Shape of x, two dimensions or more.
 * @param shape_count How many shape has.
 * @param layout The place of the channels.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_minibatch_deviation_output_shape(
    const int64_t *shape, int64_t shape_count, kernels_tensor_layout layout, int64_t *result,
    int64_t result_capacity, int64_t *result_count);

/**
 * y = x and the deviations as one more channel.
 * @param stream Queue to run in.
 * @param x [batch, channels, ...], or channels last.
 * @param y Output, as kernels_minibatch_deviation_output_shape says.
 * @param group_size Samples of a set, a divisor of the batch; StyleGAN has 4.
 * @param options (optional) Epsilon, layout.
 */
KERNELS_API kernels_status kernels_minibatch_deviation_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, int64_t group_size,
    const kernels_minibatch_deviation_options *options);

/**
 * The gradient with respect to x.
 * @param stream Queue to run in.
 * @param x The input of forward.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, shape of x.
 * @param group_size As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_minibatch_deviation_backward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *dy, const kernels_tensor *dx,
    int64_t group_size, const kernels_minibatch_deviation_options *options);

/* --- Mixup ------------------------------------------------------------------------------------------------------ */

/*
 * Mixup: y[i] = lambda x[i] + (1 - lambda) x[partner of i], with the loss mixed alike; on images or hidden states,
 * of any rank. Mixup.Draw(stream, sampleIds, labels, pairs, otherLabels, shares, alpha: 0.2, key);
 * Mixup.Forward(stream, x, pairs, shares, mixed); CrossEntropy.Forward(stream, logits,
 * CrossEntropyTargets.Mixed(labels, otherLabels, shares), ...); Lambda is Beta(a, a) distributed, in multiples of
 * 2^-24, so that lambda and 1 - lambda are exact: (1 + sign(cos v) sqrt(1 - q)) / 2 with q = p / (p + (1 - p) cos^2
 * v), p = u^(1/a), where words 0 and 1 of draw 0 of the sample give u in (0, 1] and v in [0, 2 pi) (Bailey's polar
 * method in Devroye's form; no rejection). Every device has the same bits. The partner is that of a keyed
 * permutation (a Feistel network on the next power of two, repeated until the result is a row), over the batch's
 * rows in the order of their sample numbers, whatever the order they come in. Lambda follows from key and sample
 * alone; the permutation from the key and the batch's lowest sample number, so a row's result is the same in any
 * order of the same batch, and on every shard that draws for the whole batch and takes its slice. Partners from a
 * data set (pool_rows) depend on no batch. A row may be its own partner, as in any random permutation. A term of
 * weight 0 is not read: NaN in the partner of a row with lambda 1 does not reach it, and lambda 1 copies. Sums are
 * one fused multiply-add, rounded once to the stored type. Types: float, Half, BFloat16, double; tensors without
 * elements are a no-op. H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: beyond empirical risk
 * minimization", ICLR 2018; hidden states: V. Verma et al., "Manifold mixup", ICML 2019. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors that overlap or live on another device, and
 * KERNELS_STATUS_INVALID_ARGUMENT for a setting out of its range, before anything is launched. A row number in
 * pairs , or a sample number, that does not exist gives KERNELS_STATUS_BAD_DATA at the next synchronisation.
 */

/**
 * Draws partners and lambdas for the rows of a batch.
 * @param stream Queue to run in.
 * @param sample_ids (optional) Number of each row's sample, shape [rows]; NULL: the samples are numbered from
 *     first_sample on.
 * @param labels (optional) Classes, shape [rows], or of the data set, [pool rows]; NULL where neither the
 *     partners' labels nor partners of a class are wanted.
 * @param pairs Output [rows, 2]: each row's partner, and the row whose partner it is (-1 with a data set).
 * @param other_labels (optional) Output [rows], the partners' labels; NULL where they are not wanted.
 * @param shares Output [rows], lambda: float, or double for double tensors.
 * @param alpha The parameter a of Beta(a, a), above 0.
 * @param key Random key: seed, and the epoch as offset.
 * @param options (optional) Mode, probability to skip, classes, data set, numbers.
 */
KERNELS_API kernels_status kernels_mixup_draw(
    kernels_stream *stream, const kernels_tensor *sample_ids, const kernels_tensor *labels,
    const kernels_tensor *pairs, const kernels_tensor *other_labels, const kernels_tensor *shares, double alpha,
    const kernels_key *key, const kernels_mixing_options *options);

/**
 * y[i] = shares[i] x[i] + (1 - shares[i]) pool[partner of i].
 * @param stream Queue to run in.
 * @param x [rows, ...].
 * @param pool (optional) Where the partners are: a data set, or the whole batch of which x is a shard; [pool
 *     rows, ...].
 * @param pairs Partners, from kernels_mixup_draw or a slice of them: [rows, 2].
 * @param shares Lambdas, [rows]: float, or double for double tensors.
 * @param y Output, shape of x.
 */
KERNELS_API kernels_status kernels_mixup_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *pool, const kernels_tensor *pairs,
    const kernels_tensor *shares, const kernels_tensor *y);

/**
 * Gradient within a batch: dx[i] = shares[i] dy[i] + (1 - shares[j]) dy[j], where j is the row whose partner i is.
 * @param stream Queue to run in.
 * @param dy Gradient of the output, [rows, ...].
 * @param pairs As in forward.
 * @param shares As in forward.
 * @param dx Gradient of the input, shape of dy.
 */
KERNELS_API kernels_status kernels_mixup_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *pairs, const kernels_tensor *shares,
    const kernels_tensor *dx);

/* --- MonteCarloDropout ------------------------------------------------------------------------------------------ */

/*
 * Monte-Carlo dropout: T reproducible dropout passes over one input in one launch, and the mean and variance over
 * the passes, which say how sure a network is. Pass t is kernels_dropout_forward under the key (seed, offset + t),
 * bit for bit; so T calls of one layer use T offsets. Every further layer of the network takes the stacked passes
 * [T * batch, ...] as an ordinary batch with ordinary dropout. Types: float, Half, BFloat16, double; special values
 * as in Dropout. Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation: representing model uncertainty in
 * deep learning", ICML 2016.
 */

/**
 * y[t] = dropout of x under (seed, offset + t), t = 0 to T - 1.
 * @param stream Queue to run in.
 * @param x Input, any shape [...].
 * @param y Output, shape [T, ...]; does not overlap x.
 * @param drop_probability Probability p to drop an element, in [0, 1].
 * @param key Random key; uses T offsets.
 */
KERNELS_API kernels_status kernels_monte_carlo_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    const kernels_key *key);

/**
 * Mean and unbiased variance over the passes.
 * @param stream Queue to run in.
 * @param y Results of the passes, shape [T, ...] with T at least 2.
 * @param mean Output, shape [...].
 * @param variance Output, shape [...]: the sum of squared differences from the mean, divided by T - 1.
 */
KERNELS_API kernels_status kernels_monte_carlo_dropout_statistics(
    kernels_stream *stream, const kernels_tensor *y, const kernels_tensor *mean, const kernels_tensor *variance);

/* --- NearestUpsample -------------------------------------------------------------------------------------------- */

/*
 * Nearest-neighbour upsampling by integers: each cell of a map becomes a block of factor.Height x factor.Width
 * equal ones. y[h, w] = x[h / factor.Height, w / factor.Width], rounded down. The gradient of a cell is the sum
 * over its block, row by row, in float (double for double): the sum of windows side by side, as forward is its
 * gradient, so both are the kernels of AveragePool2d with a divisor of 1. -0 becomes +0. Types: float, Half,
 * BFloat16, double. A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", Distill 2016.
 * Every method gives KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors that overlap or live on
 * another device, and KERNELS_STATUS_INVALID_ARGUMENT for a factor below 1 or a layout that does not exist, before
 * anything is launched.
 */

/**
 * The shape of the output for an input.
 * @param shape Shape of x: [batch, channels, height, width], or as the layout says.
 * @param shape_count How many shape has.
 * @param factor How many times each row and each column is repeated, at least 1.
 * @param layout The place of the channels.
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_nearest_upsample_output_shape(
    const int64_t *shape, int64_t shape_count, const kernels_size2d *factor, kernels_tensor_layout layout,
    int64_t *result, int64_t result_capacity, int64_t *result_count);

/**
 * y = x with each row and each column repeated.
 * @param stream Queue to run in.
 * @param x Input, [batch, channels, height, width], or as layout says.
 * @param y Output, shape as kernels_nearest_upsample_output_shape says.
 * @param factor How many times each row and each column is repeated, at least 1.
 * @param layout The place of the channels.
 */
KERNELS_API kernels_status kernels_nearest_upsample_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, const kernels_size2d *factor,
    kernels_tensor_layout layout);

/**
 * Gradient: dx = the sum of dy over the block of each cell.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, shape of the forward call's input.
 * @param factor As in forward.
 * @param layout As in forward.
 */
KERNELS_API kernels_status kernels_nearest_upsample_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, const kernels_size2d *factor,
    kernels_tensor_layout layout);

/* --- Normalize -------------------------------------------------------------------------------------------------- */

/*
 * Images of any stored type and layout become what a network takes: y = (x / white - mean) / deviation. One case of
 * Augment, which says how images are read and refused. An output of another size is the middle of the image, or the
 * image with a border. Y. LeCun, L. Bottou, G. Orr and K.-R. Müller, "Efficient BackProp", 1998.
 */

/**
 * Normalizes, and changes type and layout.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param y Output, of the batch and channels of x.
 * @param options (optional) Mean, deviation, layouts.
 */
KERNELS_API kernels_status kernels_normalize_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y,
    const kernels_augment_options *options);

/* --- Philox ----------------------------------------------------------------------------------------------------- */

/*
 * Philox4x32-10, the counter-based generator behind every random decision (Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3", SC 2011). A block of four 32-bit words is a pure function of key and
 * counter, so any element can be drawn anywhere. Key = seed (low word first); counter = (block low, block high,
 * offset low, offset high). The eight 16-bit lanes of a block are its words in order, low half first. Element i of
 * an op takes lane i mod 8 of block i / 8.
 */

/**
 * The four words of block number block under key.
 * @param w0 Gets w0.
 * @param w1 Gets w1.
 * @param w2 Gets w2.
 * @param w3 Gets w3.
 */
KERNELS_API kernels_status kernels_philox_block(
    const kernels_key *key, uint64_t block, uint32_t *w0, uint32_t *w1, uint32_t *w2, uint32_t *w3);

/**
 * The 16 random bits of element index under key.
 * @param result Gets the result.
 */
KERNELS_API kernels_status kernels_philox_lane(const kernels_key *key, uint64_t index, uint16_t *result);

/* --- Posterize -------------------------------------------------------------------------------------------------- */

/*
 * In images, with some probability only the upper bits of eight are left. One case of Augment, which says how
 * images are read, drawn for and refused. E. Cubuk, B. Zoph, D. Mane, V. Vasudevan and Q. Le, "AutoAugment:
 * learning augmentation strategies from data", CVPR 2019.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param bits Bits that are left, 1 to 8.
 * @param probability Probability of a sample.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_posterize_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    int32_t bits, double probability, const kernels_key *key, const kernels_augment_options *options);

/* --- RandomBits ------------------------------------------------------------------------------------------------- */

/* The generator's own output, and keys that live on the device. */

/**
 * words[4 b + w] = word w of Philox block first_block + b under key.
 * @param stream Queue to run in.
 * @param words Output, a multiple of four elements.
 * @param key Seed and offset, see Philox.
 * @param first_block Number of the first block.
 */
KERNELS_API kernels_status kernels_random_bits_fill(
    kernels_stream *stream, const kernels_tensor *words, const kernels_key *key, uint64_t first_block);

/**
 * Adds steps to the offset of a key in device memory. Queued like any kernel, so a captured graph that ends with it
 * draws fresh bits each time it is replayed.
 * @param stream Queue to run in.
 * @param key The key: shape [2], seed then offset.
 * @param steps How many calls to step over.
 */
KERNELS_API kernels_status kernels_random_bits_advance(
    kernels_stream *stream, const kernels_tensor *key, uint64_t steps);

/* --- RandomErase ------------------------------------------------------------------------------------------------ */

/*
 * Random erasing: a rectangle of each image, of random area and aspect, becomes a constant or noise. Box b of a
 * sample takes the sample's draws 16 b + t for the tries t = 0 to 9: the area is uniform in its range times height
 * times width (word 0), the aspect log-uniform in its range (word 1), the sides are the roots of area times aspect
 * and of area over aspect, to the nearest pixel. The first try whose sides are shorter than the image's is taken,
 * at a uniform place where it fits (words 2 and 3); without one nothing is erased. Everything follows from key and
 * sample number alone, and sides are made of integer roots, so a sample is erased alike in every batch, order and
 * shard, and on every device; backward draws it again. Noise: element i of the sample in memory order takes normal
 * number i mod 4 (see GaussianNoise) of the sample's block 9 * 2^32 + 2^16 + i / 4. It has no gradient. NaN and
 * infinities in the rectangles are gone. Types: float, Half, BFloat16, double; the destination may be the source,
 * which then is written to in the rectangles only; tensors without elements are a no-op. Z. Zhong, L. Zheng, G.
 * Kang, S. Li and Y. Yang, "Random erasing data augmentation", AAAI 2020. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that do not fit, tensors that overlap in part or live on another
 * device, and KERNELS_STATUS_INVALID_ARGUMENT for a range that is reversed or out of bounds, and a probability
 * outside [0, 1].
 */

/**
 * y = x outside of the rectangles, the filling inside.
 * @param stream Queue to run in.
 * @param x Images: [batch, channels, height, width] or [batch, height, width, channels].
 * @param sample_ids (optional) Number of each image's sample, shape [batch]; NULL: they are numbered from
 *     first_sample on.
 * @param y Output, shape of x; may be x.
 * @param area Share of the image that is erased, in [0, 1]; the paper's is (0.02, 0.4).
 * @param aspect Height over width of the rectangle, in [0.001, 1000]; the paper's is (0.3, 1 / 0.3).
 * @param key Random key: seed, and the epoch as offset.
 * @param options (optional) Rectangles, filling, probability to skip, layout, numbers.
 */
KERNELS_API kernels_status kernels_random_erase_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_range *area, const kernels_augment_range *aspect, const kernels_key *key,
    const kernels_random_erase_options *options);

/**
 * Gradient: dx = dy outside of the rectangles of the forward call that had the same arguments, 0 inside.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param sample_ids (optional) As in forward.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param area As in forward.
 * @param aspect As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_random_erase_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *sample_ids, const kernels_tensor *dx,
    const kernels_augment_range *area, const kernels_augment_range *aspect, const kernels_key *key,
    const kernels_random_erase_options *options);

/* --- Relu ------------------------------------------------------------------------------------------------------- */

/*
 * The rectifier: y = max(x, 0). NaN stays NaN, -0 becomes +0. Types: float, Half, BFloat16, double; any shape,
 * including empty. V. Nair and G. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML
 * 2010.
 */

/**
 * y = max(x, 0).
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 */
KERNELS_API kernels_status kernels_relu_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y);

/**
 * dx = dy where y > 0 (or y is NaN), else 0. Since y and x have the same sign, either may be given.
 * @param stream Queue to run in.
 * @param y Output of the forward call (or its input), any shape.
 * @param dy Gradient of the output, shape of y.
 * @param dx Gradient of the input, shape of y; may be dy or y.
 */
KERNELS_API kernels_status kernels_relu_backward(
    kernels_stream *stream, const kernels_tensor *y, const kernels_tensor *dy, const kernels_tensor *dx);

/* --- Rotate ----------------------------------------------------------------------------------------------------- */

/*
 * Images are turned about the middle by a random angle. One case of Augment, which says how images are read, drawn
 * for and refused. P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural networks applied
 * to visual document analysis", ICDAR 2003.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param degrees Bounds of the angle, counterclockwise; quarter turns are exact.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_rotate_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_range *degrees, const kernels_key *key, const kernels_augment_options *options);

/* --- SameClassNeighbours ---------------------------------------------------------------------------------------- */

/*
 * The nearest rows of the same class, by Euclidean distance, for augmentation in feature space. The square of a
 * distance is a sum in the order of the features, one fused multiply-add of a difference for each, so every device
 * finds the same rows. Sums are compared as floats; rows at the same distance come in the order of their numbers; a
 * NaN is as far as infinity. A class with fewer other rows than are wanted leaves -1 behind them. Every pair of
 * rows of a class is looked at: the op is for a data set's features once, not for every step. Types: float, Half,
 * BFloat16, double. T. DeVries and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop 2017.
 */

/**
 * Finds the nearest rows of each row's class, the row itself left out.
 * @param stream Queue to run in.
 * @param features [rows, features].
 * @param labels Classes, [rows]; any numbers.
 * @param neighbours Output [rows, wanted], 1 to KERNELS_SAME_CLASS_NEIGHBOURS_MOST_NEIGHBOURS wanted: row
 *     numbers, the nearest first, -1 where there are no more.
 */
KERNELS_API kernels_status kernels_same_class_neighbours_find(
    kernels_stream *stream, const kernels_tensor *features, const kernels_tensor *labels,
    const kernels_tensor *neighbours);

/* --- Sharpness -------------------------------------------------------------------------------------------------- */

/*
 * In images, with some probability the distance from the mean of the neighbours is changed. One case of Augment,
 * which says how images are read, drawn for and refused. E. Cubuk, B. Zoph, D. Mane, V. Vasudevan and Q. Le,
 * "AutoAugment: learning augmentation strategies from data", CVPR 2019.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param factor Bounds of the factor: 0 blurs, 1 leaves, 2 sharpens.
 * @param probability Probability of a sample.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_sharpness_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_range *factor, double probability, const kernels_key *key,
    const kernels_augment_options *options);

/* --- Sigmoid ---------------------------------------------------------------------------------------------------- */

/*
 * The logistic function: y = 1 / (1 + e^-x). NaN stays NaN, infinities become 1 and 0; nothing overflows on the
 * way. Types: float, Half, BFloat16, double; any shape, including empty.
 */

/**
 * y = 1 / (1 + e^-x).
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 */
KERNELS_API kernels_status kernels_sigmoid_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y);

/**
 * dx = dy y (1 - y), from the output: where that was rounded to 1, dx is 0.
 * @param stream Queue to run in.
 * @param y Output of the forward call, any shape.
 * @param dy Gradient of the output, shape of y.
 * @param dx Gradient of the input, shape of y; may be dy or y.
 */
KERNELS_API kernels_status kernels_sigmoid_backward(
    kernels_stream *stream, const kernels_tensor *y, const kernels_tensor *dy, const kernels_tensor *dx);

/* --- SoftSharing ------------------------------------------------------------------------------------------------ */

/*
 * Soft parameter sharing: a penalty that draws two tensors together which need not be equal, (strength / 2) * sum
 * of (a - b)^2. Gradients: strength * (a - b) for a, and its negative for b, added to what is there. The sum is in
 * float (double for double), in tiles of 4096 elements and then these, in an order that depends on the length
 * alone. The root of the strength multiplies a difference before it is squared, and halves are subtracted, so the
 * sum overflows only where the value does. A strength of 0 looks at no element: the value is 0. NaN reaches the
 * value and its own gradients; so does the difference of equal infinities, which is NaN. Empty tensors are valid:
 * their value is 0. S. Nowlan and G. Hinton, "Simplifying neural networks by soft weight-sharing", 1992; L. Duong,
 * T. Cohn, S. Bird and P. Cook, "Low resource dependency parsing: cross-lingual parameter sharing in a neural
 * network parser", ACL 2015.
 */

/**
 * The value alone.
 * @param stream Queue to run in.
 * @param a One tensor, any shape.
 * @param b The other, shape of a; may be a.
 * @param value Output, one number of the arithmetic type.
 * @param strength Strength of the penalty, finite and at least 0.
 */
KERNELS_API kernels_status kernels_soft_sharing_forward(
    kernels_stream *stream, const kernels_tensor *a, const kernels_tensor *b, const kernels_tensor *value,
    double strength);

/**
 * The value, and the gradients in the same pass over memory.
 * @param stream Queue to run in.
 * @param a One tensor, any shape.
 * @param b The other, shape of a.
 * @param da (optional) Gradient of a, same shape, to which the penalty's is added; NULL where a is not trained.
 * @param db (optional) Gradient of b, likewise.
 * @param value Output, one number of the arithmetic type.
 * @param strength Strength of the penalty, finite and at least 0.
 * @param gradient_scale Factor of the gradients, not of the value: a loss scale.
 */
KERNELS_API kernels_status kernels_soft_sharing_forward_backward(
    kernels_stream *stream, const kernels_tensor *a, const kernels_tensor *b, const kernels_tensor *da,
    const kernels_tensor *db, const kernels_tensor *value, double strength, double gradient_scale);

/* --- Solarize --------------------------------------------------------------------------------------------------- */

/*
 * In images, with some probability values from a threshold on are inverted. One case of Augment, which says how
 * images are read, drawn for and refused. E. Cubuk, B. Zoph, D. Mane, V. Vasudevan and Q. Le, "AutoAugment:
 * learning augmentation strategies from data", CVPR 2019.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param threshold A level, 0 to 256, of 255.
 * @param probability Probability of a sample.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_solarize_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    double threshold, double probability, const kernels_key *key, const kernels_augment_options *options);

/* --- SpectralNorm ----------------------------------------------------------------------------------------------- */

/*
 * Spectral normalization: y = weight / sigma, with sigma the largest singular value of the weight as a matrix [out,
 * rest], by power iteration; it bounds how steep a layer can be. u = W v / max(|W v|, epsilon), v = W' u / max(|W'
 * u|, epsilon) a step; Forward takes one or more, Inference none sigma = u' W v y = W / sigma dW = (dy - (sum of dy
 * W) / sigma * u v') / sigma u and v count as constants The numbers are those of
 * torch.nn.utils.parametrizations.spectral_norm with dim = 0 . After a step sigma is |W' u|, so no product is
 * calculated for it. u and v are state of the caller's, float, or double for double weights. To begin, fill v with
 * normal numbers of any length and call kernels_spectral_norm_forward with 14 more iterations, as PyTorch's 15; u
 * is written before it is read. kernels_spectral_norm_backward needs u, v and sigma as the forward call left them.
 * Norms are right wherever they can be stored; with more than one step the square of sigma must be in range, too.
 * Sums are in a fixed order. A weight of zeros has sigma 0 and gives NaN, as in PyTorch; NaN and infinities reach
 * all results. Types: float, Half, BFloat16, double. T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, "Spectral
 * normalization for generative adversarial networks", ICLR 2018. Every method gives KERNELS_STATUS_INVALID_ARGUMENT
 * for shapes or types that do not fit, a weight without elements, tensors that overlap or live on another device,
 * and KERNELS_STATUS_INVALID_ARGUMENT for a setting out of its range, before anything is launched.
 */

/**
 * Steps of the power iteration, then y = weight / sigma; for training.
 * @param stream Queue to run in.
 * @param weight [out, ...], two dimensions or more.
 * @param u State, [out]: written.
 * @param v State, [elements of a weight's row]: read and written.
 * @param sigma Output, one element.
 * @param y Output, shape of weight.
 * @param options (optional) Iterations, epsilon.
 */
KERNELS_API kernels_status kernels_spectral_norm_forward(
    kernels_stream *stream, const kernels_tensor *weight, const kernels_tensor *u, const kernels_tensor *v,
    const kernels_tensor *sigma, const kernels_tensor *y, const kernels_spectral_norm_options *options);

/**
 * y = weight / sigma with u and v as they are; for inference.
 * @param stream Queue to run in.
 * @param weight [out, ...], two dimensions or more.
 * @param u State, [out].
 * @param v State, [elements of a weight's row].
 * @param sigma Output, one element.
 * @param y Output, shape of weight.
 */
KERNELS_API kernels_status kernels_spectral_norm_inference(
    kernels_stream *stream, const kernels_tensor *weight, const kernels_tensor *u, const kernels_tensor *v,
    const kernels_tensor *sigma, const kernels_tensor *y);

/**
 * The gradient with respect to the weight, with u and v as constants.
 * @param stream Queue to run in.
 * @param weight As in forward.
 * @param u As forward left it.
 * @param v As forward left it.
 * @param sigma As forward left it.
 * @param dy Gradient of y.
 * @param dweight Gradient of the weight; may be dy.
 */
KERNELS_API kernels_status kernels_spectral_norm_backward(
    kernels_stream *stream, const kernels_tensor *weight, const kernels_tensor *u, const kernels_tensor *v,
    const kernels_tensor *sigma, const kernels_tensor *dy, const kernels_tensor *dweight);

/* --- StochasticDepth -------------------------------------------------------------------------------------------- */

/*
 * Stochastic depth: y = x + b f in training, or max(x + b f, 0), where f is the branch of a residual block and b is
 * 0 for dropped rows. Row i (plus global_start; 0 for a decision for all) takes kernels_philox_lane i and is kept
 * iff lane < T. Inverted scaling: b = 65536/T in training, 1 at inference. Original scaling: b = 1 in training, the
 * survival probability T/65536 at inference. Nothing is stored. Dropped rows of f are not read: their NaN and
 * infinities do not reach y. Where y is x and there is no ReLU, dropped rows cost nothing at all. p = 0 keeps and p
 * = 1 (survival 0) drops every row, without drawing; inference then multiplies by 1 and by 0. The ReLU passes NaN
 * on. x + b f is one fused multiply-add, rounded once to the stored type. Types: float, Half, BFloat16, double;
 * tensors without elements are a no-op. To skip the branch's calculation for dropped rows, see KeptRows. G. Huang,
 * Y. Sun, Z. Liu, D. Sedra and K. Q. Weinberger, "Deep networks with stochastic depth", ECCV 2016; per row: G.
 * Larsson, M. Maire and G. Shakhnarovich, "FractalNet", ICLR 2017. Every method gives
 * KERNELS_STATUS_INVALID_ARGUMENT for shapes that differ, tensors that overlap otherwise than stated or live on
 * another device, and KERNELS_STATUS_INVALID_ARGUMENT for a probability that is NaN or outside [0, 1], before
 * anything is launched.
 */

/**
 * Training: y = x + b f.
 * @param stream Queue to run in.
 * @param x The skip connection, [rows, ...].
 * @param f The branch, shape of x; dropped rows are not read.
 * @param y Output, shape of x; may be x or f.
 * @param drop_probability Probability p to drop the branch, in [0, 1].
 * @param key Random key; one offset for each call.
 * @param options (optional) Mode, scaling, ReLU, shard.
 */
KERNELS_API kernels_status kernels_stochastic_depth_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *f, const kernels_tensor *y,
    double drop_probability, const kernels_key *key, const kernels_stochastic_depth_options *options);

/**
 * Inference: y = x + f under inverted scaling, y = x + q f with the survival probability q under original scaling.
 * Draws nothing.
 * @param stream Queue to run in.
 * @param x The skip connection, [rows, ...].
 * @param f The branch, shape of x; not read where q is 0.
 * @param y Output, shape of x; may be x or f.
 * @param drop_probability The probability of training.
 * @param options (optional) The options of training.
 */
KERNELS_API kernels_status kernels_stochastic_depth_infer(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *f, const kernels_tensor *y,
    double drop_probability, const kernels_stochastic_depth_options *options);

/**
 * Gradients: df = b dy and dx = dy, or with ReLU those of dy where y > 0 (or NaN) and 0 elsewhere; decisions as in
 * the forward call with the same arguments.
 * @param stream Queue to run in.
 * @param y (optional) Output of the forward call with ReLU; NULL without.
 * @param dy Gradient of the output. Without ReLU its dropped rows are not read unless dx needs them.
 * @param dx (optional) Gradient of the skip connection, shape of dy; may be dy, which without ReLU costs
 *     nothing. Null where it is not needed.
 * @param df Gradient of the branch, shape of dy; zeros for dropped rows. May be dy.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_stochastic_depth_backward(
    kernels_stream *stream, const kernels_tensor *y, const kernels_tensor *dy, const kernels_tensor *dx,
    const kernels_tensor *df, double drop_probability, const kernels_key *key,
    const kernels_stochastic_depth_options *options);

/**
 * Drop probabilities of blocks residual blocks, growing linearly with depth up to last_drop_probability: the
 * paper's p_l = 1 - l/L (1 - p_L) as survival, or timm's linspace.
 * @param blocks Number of blocks L, at least 0.
 * @param last_drop_probability Drop probability of the last block, 1 - p_L.
 * @param indexing Whether depth counts from 1 (paper) or from 0 (timm).
 * @param result Gets the results.
 * @param result_capacity How many fit there.
 * @param result_count Gets how many there are, also where they do not fit.
 */
KERNELS_API kernels_status kernels_stochastic_depth_linear_decay(
    int32_t blocks, double last_drop_probability, kernels_depth_indexing indexing, double *result,
    int64_t result_capacity, int64_t *result_count);

/**
 * The factor of a kept branch in training: 65536/T under inverted scaling (0 where all is dropped), else 1.
 * @param result Gets the result.
 */
KERNELS_API kernels_status kernels_stochastic_depth_training_scale(
    double drop_probability, kernels_dropout_scaling scaling, double *result);

/* --- SyncBatchNorm ---------------------------------------------------------------------------------------------- */

/*
 * Synchronized batch normalization: BatchNorm of a batch that lies in shards, on one device or on many, with mean
 * and variance over all of them. Between its steps records of a few numbers a channel are gathered, by whatever
 * carries them. Forward: Statistics gives the moments of a shard, [5, channels]; those of all shards, [shards, 5,
 * channels], are gathered on every rank; Finish merges them into statistics and running values, and Apply
 * normalizes the shard. Backward: ReduceGradient gives the shard's sums, [3, channels], which are gathered as
 * [shards, 3, channels], or added up by a transport that can; ApplyGradient gives dx. Where there are many shards,
 * Merge makes one record of a part of them, say of a node's. Everything is weighted by the elements of a shard: a
 * shard may have any number of samples, none included, and its result is that of one big batch but for rounding.
 * Rows of a record of moments are count, mean, what its rounding left, the sum of squared distances from the mean,
 * and that sum times 2^-180 (2^-1200 in double), which does not overflow; those of a record of gradients are sum of
 * dy, sum of dy (x - mean), and count. Counts are exact up to 2^24 elements a channel in float. Records are merged
 * in a tree over their places in the list, which depends on nothing but their number: the same records in the same
 * order give the same bits on every rank. With the batch in a fixed number of shards results so do not depend on
 * the ranks that hold them. Moments of one record are that record. Gradients of gamma and beta are those of the
 * shard, to be added up over the shards as all other gradients are. A channel of one element in all shards, which
 * no rank can know of before the merge, is normalized to beta; fewer than two leave the running values as they are.
 * All else is as for BatchNorm.
 */

/**
 * Moments of a shard: count, mean and squares of each channel.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions; may be empty.
 * @param moments Output, shape [5, channels].
 * @param options (optional) Layout and lengths.
 */
KERNELS_API kernels_status kernels_sync_batch_norm_statistics(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *moments,
    const kernels_batch_norm_options *options);

/**
 * Moments of several shards as one record, for a tree of several levels.
 * @param stream Queue to run in.
 * @param moments Records of the shards, shape [shards, 5, channels].
 * @param merged Output, shape [5, channels].
 */
KERNELS_API kernels_status kernels_sync_batch_norm_merge(
    kernels_stream *stream, const kernels_tensor *moments, const kernels_tensor *merged);

/**
 * Merges the moments of all shards into statistics, and moves the running values on by them.
 * @param stream Queue to run in.
 * @param moments Records of all shards, shape [shards, 5, channels].
 * @param statistics Output for the steps that follow, shape [3, channels], as BatchNorm gives them.
 * @param running_mean (optional) Running mean, shape [channels], or NULL.
 * @param running_variance (optional) Running variance, shape [channels]; NULL when running_mean is.
 * @param options (optional) Epsilon, and how running values move on.
 */
KERNELS_API kernels_status kernels_sync_batch_norm_finish(
    kernels_stream *stream, const kernels_tensor *moments, const kernels_tensor *statistics,
    const kernels_tensor *running_mean, const kernels_tensor *running_variance,
    const kernels_batch_norm_options *options);

/**
 * Normalizes a shard: y = gamma * xhat + beta.
 * @param stream Queue to run in.
 * @param x Input, two to five dimensions; may be empty.
 * @param gamma (optional) Factor of each channel, shape [channels], or NULL for 1.
 * @param beta (optional) What is added to each channel, shape [channels], or NULL for 0.
 * @param statistics What Finish gave.
 * @param y Output, shape of x.
 * @param options (optional) Layout and lengths.
 */
KERNELS_API kernels_status kernels_sync_batch_norm_apply(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *beta,
    const kernels_tensor *statistics, const kernels_tensor *y, const kernels_batch_norm_options *options);

/**
 * What dx of all shards needs from this one, and the shard's part of the gradients of gamma and beta.
 * @param stream Queue to run in.
 * @param x As in forward.
 * @param statistics What Finish gave.
 * @param dy Gradient of the output.
 * @param sums Output, shape [3, channels].
 * @param d_gamma (optional) The shard's gradient of gamma, shape [channels], or NULL when it is not needed.
 * @param d_beta (optional) The shard's gradient of beta, shape [channels], or NULL when it is not needed.
 * @param options (optional) Layout and lengths.
 */
KERNELS_API kernels_status kernels_sync_batch_norm_reduce_gradient(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *statistics, const kernels_tensor *dy,
    const kernels_tensor *sums, const kernels_tensor *d_gamma, const kernels_tensor *d_beta,
    const kernels_batch_norm_options *options);

/**
 * dx of a shard = gamma * inverse deviation * (dy - sum of dy / n - xhat * sum of dy xhat / n), with sums and n
 * over all shards.
 * @param stream Queue to run in.
 * @param x As in forward.
 * @param gamma (optional) As in forward.
 * @param statistics What Finish gave.
 * @param dy Gradient of the output.
 * @param sums What ReduceGradient gave for all shards, shape [shards, 3, channels], or [1, 3, channels] with
 *     their sum.
 * @param dx Gradient of x, shape of x; may be dy.
 * @param options (optional) Layout and lengths.
 */
KERNELS_API kernels_status kernels_sync_batch_norm_apply_gradient(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *gamma, const kernels_tensor *statistics,
    const kernels_tensor *dy, const kernels_tensor *sums, const kernels_tensor *dx,
    const kernels_batch_norm_options *options);

/* --- Tanh ------------------------------------------------------------------------------------------------------- */

/*
 * The hyperbolic tangent. NaN stays NaN, -0 stays -0, infinities become 1 and -1. Types: float, Half, BFloat16,
 * double; any shape, including empty.
 */

/**
 * y = tanh x.
 * @param stream Queue to run in.
 * @param x Input, any shape.
 * @param y Output, shape of x; may be x.
 */
KERNELS_API kernels_status kernels_tanh_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y);

/**
 * dx = dy (1 - y^2), from the output: where that was rounded to 1 or -1, dx is 0.
 * @param stream Queue to run in.
 * @param y Output of the forward call, any shape.
 * @param dy Gradient of the output, shape of y.
 * @param dx Gradient of the input, shape of y; may be dy or y.
 */
KERNELS_API kernels_status kernels_tanh_backward(
    kernels_stream *stream, const kernels_tensor *y, const kernels_tensor *dy, const kernels_tensor *dx);

/* --- Translate -------------------------------------------------------------------------------------------------- */

/*
 * Images are moved by a random shift. One case of Augment, which says how images are read, drawn for and refused.
 * D. Ciresan, U. Meier and J. Schmidhuber, "Multi-column deep neural networks for image classification", CVPR 2012.
 */

/**
 * Draws for each sample and applies it.
 * @param stream Queue to run in.
 * @param x Images, [batch, channels, height, width], or as the layout says.
 * @param sample_ids (optional) The samples' numbers, [batch]; NULL to count from first_sample.
 * @param y Output, of the batch and channels of x.
 * @param shift_x Bounds of the shift to the right, in pixels.
 * @param shift_y Bounds of the shift downwards, in pixels.
 * @param whole_shifts Whether shifts are whole pixels, each as likely.
 * @param key Seed and epoch.
 * @param options (optional) Reading, normalization, layout.
 */
KERNELS_API kernels_status kernels_translate_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *sample_ids, const kernels_tensor *y,
    const kernels_augment_range *shift_x, const kernels_augment_range *shift_y, bool whole_shifts,
    const kernels_key *key, const kernels_augment_options *options);

/* --- VariationalDropout ----------------------------------------------------------------------------------------- */

/*
 * Variational dropout for recurrent networks (locked dropout): one mask per sequence, the same at every time step;
 * y = m * x / q in training, identity at inference. The decision of feature f of sequence b has number b * features
 * + f, in both layouts. So kernels_dropout_forward of one time step [batch, features] with the same key has the
 * same mask: use it inside a loop over time, for the hidden state say. Not the variational dropout of Kingma et al.
 * (2015), which learns its noise. Special values, types and errors as in ChannelDropout. Y. Gal and Z. Ghahramani,
 * "A theoretically grounded application of dropout in recurrent neural networks", NeurIPS 2016.
 */

/**
 * Training: y = m * x / q with m the same for all time steps of a sequence.
 * @param stream Queue to run in.
 * @param x Input, three dimensions in the order that options gives.
 * @param y Output, shape of x; may be x.
 * @param drop_probability Probability p to drop a feature of a sequence, in [0, 1].
 * @param key Random key; see kernels_variational_keys for one key for each place.
 * @param options (optional) Layout and shard start.
 */
KERNELS_API kernels_status kernels_variational_dropout_forward(
    kernels_stream *stream, const kernels_tensor *x, const kernels_tensor *y, double drop_probability,
    const kernels_key *key, const kernels_variational_dropout_options *options);

/**
 * Gradient: dx = m * dy / q with the decisions of the forward call that had the same arguments.
 * @param stream Queue to run in.
 * @param dy Gradient of the output.
 * @param dx Gradient of the input, shape of dy; may be dy.
 * @param drop_probability As in forward.
 * @param key As in forward.
 * @param options (optional) As in forward.
 */
KERNELS_API kernels_status kernels_variational_dropout_backward(
    kernels_stream *stream, const kernels_tensor *dy, const kernels_tensor *dx, double drop_probability,
    const kernels_key *key, const kernels_variational_dropout_options *options);

#ifdef __cplusplus
}
#endif

#endif
