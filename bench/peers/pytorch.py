"""PyTorch's side of `kernels bench`: times the cases that the command sends, one JSON object a line, on standard input.

    {"do": "start", "device": "cpu", "threads": 2}       -> {"name": "PyTorch 2.1.0 (OpenBLAS 0.3.21)", "threads": 2}
    {"do": "prepare", "op": "dropout", "dtype": "f32",
     "problem": {"entry": "forward", "shape": [1024]}}   -> {"call": "torch.nn.functional.dropout"} or {"unsupported": "why not"}
    {"do": "run"}                                        -> {"cold": 1.25, "warm": 1.01}    milliseconds of one call each

Any reply may be {"error": "..."} instead; the next request is answered all the same. A repetition is one message, so the command can
take turns between its own runs and these. `cold` follows a rewrite of a large buffer, `warm` follows `cold` at once.

To add an op, write a function under @op(name, entry, what it calls) that gets the case, makes its tensors and returns the call to time.
Works with PyTorch 1.13 and later, on the CPU and on CUDA; needs nothing but PyTorch.
"""

import json
import os
import re
import signal
import sys
import time

FLUSH_BYTES = 256 << 20  # more than the last-level cache of common devices
REST = 0.03  # seconds in which OpenMP's threads stop waiting actively: what they burn is missing to whoever is timed next
HEAD_START = 2_000_000  # GPU clock cycles, about a millisecond: the host queues everything meanwhile, so its own time is not measured

OPS = {}


class Unsupported(Exception):
    """PyTorch has nothing that does the same."""


def op(name, entry, call):
    """Registers what makes the call to time for an op's entry; `call` names what users of PyTorch would write."""

    def register(make):
        OPS[name, entry] = (call, make)
        return make

    return register


class Case:
    """A problem of the case table: its settings by name, and tensors on the device in its data type."""

    def __init__(self, request, device):
        self.settings = request["problem"]
        self.device = device
        self.dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}[request["dtype"]]

    def __getitem__(self, name):
        return self.settings[name]

    def uniform(self, *shape, low=-2.0, high=2.0):
        values = torch.empty(*shape, dtype=torch.float32, device=self.device).uniform_(low, high)
        return values.to(self.dtype)

    def labels(self, count, classes):
        return torch.randint(classes, (count,), device=self.device)


# --- Ops ------------------------------------------------------------------------------------------------------------


@op("dropout", "forward", "torch.nn.functional.dropout")
def dropout_forward(case):
    require(case["scaling"] == "Inverted", "torch.nn.functional.dropout scales the other way")
    x, p = case.uniform(case["shape"]), case["dropProbability"]
    return lambda: torch.nn.functional.dropout(x, p, training=True)


@op("dropout", "backward", "what autograd runs for dropout: the gradient times the stored mask")
def dropout_backward(case):
    require(case["scaling"] == "Inverted", "torch.nn.functional.dropout scales the other way")
    dy, p = case.uniform(case["shape"]), case["dropProbability"]
    if case.device.type == "cuda":
        mask = torch.rand(dy.shape, device=case.device) >= p  # one byte an element
        return lambda: torch.ops.aten.native_dropout_backward(dy, mask, 1 / (1 - p))
    mask = torch.empty_like(dy).bernoulli_(1 - p).div_(1 - p)  # as forward leaves it on the CPU: scaled, in the data's own type
    return lambda: dy * mask


@op("alpha-dropout", "forward", "torch.nn.functional.alpha_dropout")
def alpha_dropout_forward(case):
    x, p = case.uniform(case["shape"]), case["dropProbability"]
    return lambda: torch.nn.functional.alpha_dropout(x, p, training=True)


@op("alpha-dropout", "backward", "autograd through torch.nn.functional.alpha_dropout")
def alpha_dropout_backward(case):
    return gradient([case.uniform(case["shape"])], lambda x: torch.nn.functional.alpha_dropout(x, case["dropProbability"], training=True))


@op("gaussian-dropout", "forward", "x * (1 + sigma * torch.randn_like(x))")
def gaussian_dropout_forward(case):
    x, p = case.uniform(case["shape"]), case["strength"]
    sigma = (p / (1 - p)) ** 0.5
    return lambda: x * torch.randn_like(x).mul_(sigma).add_(1)


@op("gaussian-dropout", "backward", "the gradient times the stored noise")
def gaussian_dropout_backward(case):
    dy = case.uniform(case["shape"])
    noise = torch.randn_like(dy)
    return lambda: dy * noise


@op("gaussian-noise", "forward", "x + sigma * torch.randn_like(x)")
def gaussian_noise(case):
    x, sigma = case.uniform(case["shape"]), case["strength"]
    return lambda: torch.randn_like(x).mul_(sigma).add_(x)


@op("channel-dropout", "forward", "torch.nn.functional.dropout1d, dropout2d or dropout3d")
def channel_dropout(case):
    shape, shared, p = case["shape"], case["sharedAxes"], case["dropProbability"]
    spatial = len(shape) - 2
    call = {1: "dropout1d", 2: "dropout2d", 3: "dropout3d"}.get(spatial)
    x = case.uniform(shape)
    if shared == list(range(1, 1 + spatial)):
        x = x.movedim(-1, 1)  # channels last in memory, channels first by name
    else:
        require(shared == list(range(2, 2 + spatial)), "drops whole channels only")
    require(call is not None, "drops whole channels only")
    drop = getattr(torch.nn.functional, call)
    return lambda: drop(x, p, training=True)


@op("channel-dropout", "backward", "the gradient times the stored mask")
@op("variational-dropout", "backward", "the gradient times the stored mask")
def shared_dropout_backward(case):
    dy, mask = case.uniform(case["shape"]), shared_mask(case)
    return lambda: dy * mask


@op("variational-dropout", "forward", "AWD-LSTM's LockedDropout, written out")
def variational_dropout(case):
    x = case.uniform(case["shape"])
    return lambda: shared_mask(case).expand_as(x) * x


def shared_mask(case):
    shape, p = list(case["shape"]), case["dropProbability"]
    require(p < 1, "divides by 1 - p")
    for axis in case["sharedAxes"]:
        shape[axis] = 1
    return torch.empty(shape, dtype=case.dtype, device=case.device).bernoulli_(1 - p).div_(1 - p)


@op("monte-carlo-dropout", "forward", "torch.nn.functional.dropout of the repeated input")
def monte_carlo_forward(case):
    x, p = case.uniform(case["shape"]), case["dropProbability"]
    repeated = x.expand(case["passes"], *x.shape)
    return lambda: torch.nn.functional.dropout(repeated, p, training=True)


@op("monte-carlo-dropout", "statistics", "torch.var_mean")
def monte_carlo_statistics(case):
    results = case.uniform(case["passes"], *case["shape"])
    return lambda: torch.var_mean(results, 0)


@op("attention-dropout", "forward", "torch.softmax and torch.nn.functional.dropout, after adding a mask where there is one")
def attention_dropout_forward(case):
    scores, p, mask = attention_scores(case), case["dropProbability"], attention_mask(case)

    def call():
        visible = scores if mask is None else scores + mask
        return torch.nn.functional.dropout(torch.softmax(visible, -1), p, training=True)

    return call


@op("attention-dropout", "backward", "autograd through torch.softmax and torch.nn.functional.dropout")
def attention_dropout_backward(case):
    p, mask = case["dropProbability"], attention_mask(case)
    return gradient(
        [attention_scores(case)],
        lambda scores: torch.nn.functional.dropout(torch.softmax(scores if mask is None else scores + mask, -1), p, training=True),
    )


def attention_scores(case):
    return case.uniform(case["batch"], case["heads"], case["queries"], case["keys"])


def attention_mask(case):
    """The additive mask that callers of PyTorch prepare; made once, like theirs."""
    queries, keys = case["queries"], case["keys"]
    mask = None
    if case["causal"]:
        hidden = torch.ones(queries, keys, dtype=torch.bool, device=case.device).triu(1 + keys - queries)
        mask = torch.zeros(queries, keys, dtype=case.dtype, device=case.device).masked_fill_(hidden, float("-inf"))
    if case["maskShape"] is not None or case["hasLengths"]:
        given = torch.zeros(case["maskShape"] or (case["batch"], 1, 1, keys), dtype=case.dtype, device=case.device)
        mask = given if mask is None else mask + given
    return mask


@op("drop-block", "forward", "torchvision.ops.drop_block2d, written out")
def drop_block_forward(case):
    x = feature_maps(case)
    return lambda: x * drop_block_mask(case, x)


@op("drop-block", "backward", "the gradient times the stored mask")
def drop_block_backward(case):
    dy = feature_maps(case)
    mask = drop_block_mask(case, dy)
    return lambda: dy * mask


def feature_maps(case):
    x = case.uniform(case["shape"])
    require(x.dim() == 4, "torchvision has two spatial dimensions here")
    return x.movedim(-1, 1) if case["layout"] == "ChannelsLast" else x


def drop_block_mask(case, x):
    sizes, (n, c, h, w) = set(case["block"]), x.shape
    size = max(sizes)
    require(len(sizes) == 1 and size % 2 == 1 and size <= min(h, w), "torchvision takes square blocks of odd size within the map")
    require(not case["sharedChannels"] and case["fill"] == "Zero", "torchvision drops channels one by one, to zero")
    gamma = case["rate"] * h * w / (size**2 * (h - size + 1) * (w - size + 1))
    noise = torch.empty((n, c, h - size + 1, w - size + 1), dtype=x.dtype, device=x.device).bernoulli_(min(gamma, 1.0))
    noise = torch.nn.functional.pad(noise, [size // 2] * 4, value=0)
    noise = torch.nn.functional.max_pool2d(noise, stride=(1, 1), kernel_size=(size, size), padding=size // 2)
    noise = 1 - noise
    return noise * (noise.numel() / (1e-6 + noise.sum()))


@op("bias-dropout-residual", "forward", "residual + torch.nn.functional.dropout(x + bias), and products for scale and dropped rows")
def bias_dropout_residual_forward(case):
    call, parameters, residual = bias_dropout_residual(case)
    return lambda: residual + call(*parameters)


@op("bias-dropout-residual", "backward", "autograd through torch.nn.functional.dropout(x + bias), and products for scale and dropped rows")
def bias_dropout_residual_backward(case):
    call, parameters, _ = bias_dropout_residual(case)
    return gradient(parameters, call)


def bias_dropout_residual(case):
    rows, columns, p = case["rows"], case["columns"], case["dropProbability"]
    parameters = [case.uniform(rows, columns)]
    if case["hasBias"]:
        parameters.append(case.uniform(columns))
    if case["hasScale"]:
        parameters.append(case.uniform(columns))

    def call(x, *channels):
        y = torch.nn.functional.dropout(x + channels[0] if case["hasBias"] else x, p, training=True)
        if case["hasScale"]:
            y = y * channels[-1]
        if case["rowDropProbability"] > 0:
            y = y * kept_rows(y, case["rowDropProbability"])
        return y

    return call, parameters, case.uniform(rows, columns)


@op("stochastic-depth", "forward", "x + f * mask, and torch.relu where the op has it")
def stochastic_depth_forward(case):
    x, f = case.uniform(case["shape"]), case.uniform(case["shape"])

    def call():
        y = x + f * branch_mask(case, f)
        return torch.relu_(y) if case["relu"] else y

    return call


@op("stochastic-depth", "backward", "the gradient, through ReLU where the op has it, and its product with the stored mask")
@op("stochastic-depth", "backward branch", "the gradient, through ReLU where the op has it, times the stored mask")
def stochastic_depth_backward(case):
    y, dy = case.uniform(case["shape"]), case.uniform(case["shape"])
    mask = branch_mask(case, dy)

    def call():
        dx = torch.ops.aten.threshold_backward(dy, y, 0) if case["relu"] else dy
        return dx, dx * mask

    return call


def branch_mask(case, f):
    require(case["scaling"] == "Inverted", "drop path scales the other way")
    return kept_rows(f if case["mode"] == "Row" else f[:1], case["dropProbability"])


def kept_rows(x, p):
    """Drop path's factor: one number a row, 0 or 1 / (1 - p)."""
    require(p < 1, "divides by 1 - p")
    return torch.empty([x.shape[0]] + [1] * (x.dim() - 1), dtype=x.dtype, device=x.device).bernoulli_(1 - p).div_(1 - p)


@op("embedding-dropout", "forward", "AWD-LSTM's embedded_dropout, written out")
def embedding_dropout_forward(case):
    require(case["scope"] == "Batch", "AWD-LSTM drops word types of the whole batch")
    weight, ids = case.uniform(case["vocabulary"], case["width"]), embedding_ids(case)

    def call():
        masked = weight * kept_rows(weight, case["dropProbability"]).expand_as(weight)
        return torch.nn.functional.embedding(ids, masked, padding_idx=case["padding"])

    return call


@op("embedding-dropout", "accumulate", "aten::embedding_dense_backward times the stored mask, added to the gradient so far")
def embedding_dropout_accumulate(case):
    require(case["scope"] == "Batch", "AWD-LSTM drops word types of the whole batch")
    vocabulary, ids = case["vocabulary"], embedding_ids(case)
    gradient_so_far, dy = case.uniform(vocabulary, case["width"]), case.uniform(*case["ids"], case["width"])
    mask, padding = kept_rows(gradient_so_far, case["dropProbability"]), -1 if case["padding"] is None else case["padding"]
    return lambda: gradient_so_far.add_(torch.ops.aten.embedding_dense_backward(dy, ids, vocabulary, padding, False).mul_(mask))


def embedding_ids(case):
    return torch.randint(case["vocabulary"], tuple(case["ids"]), device=case.device)


@op("max-pool2d", "forward", "torch.nn.functional.max_pool2d with its indices")
@op("max-pool2d", "infer", "torch.nn.functional.max_pool2d")
def max_pool2d_forward(case):
    x, settings = maps_of(case), max_pool2d_settings(case)
    return lambda: torch.ops.aten.max_pool2d_with_indices(x, *settings) if case["entry"] == "forward" else torch.max_pool2d(x, *settings)


@op("max-pool2d", "backward", "aten::max_pool2d_with_indices_backward")
def max_pool2d_backward(case):
    x, settings = maps_of(case), max_pool2d_settings(case)
    y, indices = torch.ops.aten.max_pool2d_with_indices(x, *settings)
    dy = torch.ones_like(y)
    return lambda: torch.ops.aten.max_pool2d_with_indices_backward(dy, x, *settings, indices)


def max_pool2d_settings(case):
    window = both(case["window"])
    return window, both(case["stride"]) if case["stride"] else window, padding_of(case), both(case["dilation"] or 1), case["ceilMode"]


@op("average-pool2d", "forward", "torch.nn.functional.avg_pool2d")
def average_pool2d_forward(case):
    x, settings = maps_of(case), average_pool2d_settings(case)
    return lambda: torch.nn.functional.avg_pool2d(x, *settings)


@op("average-pool2d", "backward", "aten::avg_pool2d_backward")
def average_pool2d_backward(case):
    x, settings = maps_of(case), average_pool2d_settings(case)
    dy = torch.ones_like(torch.nn.functional.avg_pool2d(x, *settings))
    return lambda: torch.ops.aten.avg_pool2d_backward(dy, x, *settings)


@op("average-pool2d", "global", "torch.nn.functional.adaptive_avg_pool2d to one cell")
def average_pool2d_global(case):
    x = maps_of(case)
    return lambda: torch.nn.functional.adaptive_avg_pool2d(x, 1)


@op("average-pool2d", "global backward", "autograd through torch.nn.functional.adaptive_avg_pool2d to one cell")
def average_pool2d_global_backward(case):
    return gradient([maps_of(case)], lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 1))


def average_pool2d_settings(case):
    require(case["dilation"] is None, "torch.nn.functional.avg_pool2d has no dilation")
    require(case["divisor"] is None or case["divisor"] == int(case["divisor"]), "torch.nn.functional.avg_pool2d divides by integers")
    window, divisor = both(case["window"]), case["divisor"]
    stride = both(case["stride"]) if case["stride"] else window
    return window, stride, padding_of(case), case["ceilMode"], not case["excludesPadding"], None if divisor is None else int(divisor)


def both(size):
    return [size["height"], size["width"]] if isinstance(size, dict) else [size, size]


def padding_of(case):
    padding = case["padding"]
    require(padding["top"] == padding["bottom"] and padding["left"] == padding["right"], "torch pads both sides alike")
    return [padding["top"], padding["left"]]


def maps_of(case):
    """Channels last in memory are channels first by name."""
    x = case.uniform(case["shape"])
    return x.movedim(-1, 1) if case["layout"] == "ChannelsLast" else x


@op("relu", "forward", "torch.nn.functional.relu")
def relu_forward(case):
    x = case.uniform(case["shape"])
    return lambda: torch.nn.functional.relu(x)


@op("relu", "backward", "aten::threshold_backward")
def relu_backward(case):
    x, dy = case.uniform(case["shape"]), case.uniform(case["shape"])
    return lambda: torch.ops.aten.threshold_backward(dy, x, 0)


@op("batch-norm", "forward", "torch.nn.functional.batch_norm with training=True")
def batch_norm_forward(case):
    x, parameters = batch_norm(case)
    return lambda: torch.nn.functional.batch_norm(x, *parameters, training=True)


@op("batch-norm", "infer", "torch.nn.functional.batch_norm with training=False")
def batch_norm_infer(case):
    x, parameters = batch_norm(case)
    return lambda: torch.nn.functional.batch_norm(x, *parameters, training=False)


@op("batch-norm", "backward", "autograd through torch.nn.functional.batch_norm")
def batch_norm_backward(case):
    x, (mean, variance, *affine) = batch_norm(case)
    given = [parameter for parameter in affine if parameter is not None]

    def forward(x, *_):
        return torch.nn.functional.batch_norm(x, mean, variance, *affine, training=True)

    return gradient([x, *given], forward)


@op("ghost-batch-norm", "forward", "torch.nn.functional.batch_norm of each ghost batch, written into one result")
def ghost_batch_norm_forward(case):
    x, parameters = batch_norm(case)
    y = torch.empty_like(x)

    def call():
        for ghost, result in zip(x.split(case["ghostSize"]), y.split(case["ghostSize"])):
            result.copy_(torch.nn.functional.batch_norm(ghost, *parameters, training=True))
        return y

    return call


@op("batch-norm-relu", "forward", "torch.nn.functional.dropout of torch.relu of torch.nn.functional.batch_norm")
def batch_norm_relu_forward(case):
    x, parameters = batch_norm(case)
    return lambda: dropped_relu(case, torch.nn.functional.batch_norm(x, *parameters, training=True))


@op("batch-norm-relu", "backward", "autograd through torch.nn.functional.batch_norm, torch.relu and torch.nn.functional.dropout")
def batch_norm_relu_backward(case):
    x, (mean, variance, *affine) = batch_norm(case)
    given = [parameter for parameter in affine if parameter is not None]

    def forward(x, *_):
        return dropped_relu(case, torch.nn.functional.batch_norm(x, mean, variance, *affine, training=True))

    return gradient([x, *given], forward)


@op("batch-norm-add-relu", "forward", "torch.nn.functional.dropout of torch.relu of torch.nn.functional.batch_norm and a residual")
def batch_norm_add_relu_forward(case):
    x, parameters = batch_norm(case)
    residual = torch.randn_like(x)
    return lambda: dropped_relu(case, torch.nn.functional.batch_norm(x, *parameters, training=True).add_(residual))


@op("batch-norm-add-relu", "backward", "autograd through torch.nn.functional.batch_norm, a sum, torch.relu and torch.nn.functional.dropout")
def batch_norm_add_relu_backward(case):
    x, (mean, variance, *affine) = batch_norm(case)
    given = [parameter for parameter in affine if parameter is not None]

    def forward(x, residual, *_):
        return dropped_relu(case, torch.nn.functional.batch_norm(x, mean, variance, *affine, training=True) + residual)

    return gradient([x, torch.randn_like(x), *given], forward)


def dropped_relu(case, z):
    y = torch.relu_(z) if not z.requires_grad else torch.relu(z)
    return torch.nn.functional.dropout(y, case["dropProbability"], training=True) if case["dropProbability"] > 0 else y


def batch_norm(case):
    """The input, channels last in memory where they are, and running mean, running variance, gamma and beta."""
    channels = case["channels"]
    x = case.uniform(case["shape"])
    x = x.movedim(-1, 1) if case["layout"] == "ChannelsLast" else x

    def channel(value):
        return torch.full((channels,), value, dtype=torch.float64 if case.dtype == torch.float64 else torch.float32, device=case.device)

    return x, (
        channel(0.0) if case["hasRunning"] else None,
        channel(1.0) if case["hasRunning"] else None,
        channel(1.5) if case["hasGamma"] else None,
        channel(0.5) if case["hasBeta"] else None,
    )


@op("linear", "forward", "torch.nn.functional.linear")
def linear_forward(case):
    x, weight = case.uniform(case["rows"], case["inputs"]), case.uniform(case["outputs"], case["inputs"])
    bias = case.uniform(case["outputs"]) if case["hasBias"] else None
    return lambda: torch.nn.functional.linear(x, weight, bias)


@op("linear", "backward", "what autograd runs for linear: two products and a sum")
def linear_backward(case):
    x, weight = case.uniform(case["rows"], case["inputs"]), case.uniform(case["outputs"], case["inputs"])
    dy = case.uniform(case["rows"], case["outputs"])
    if case["hasBias"]:
        return lambda: (dy.mm(weight), dy.t().mm(x), dy.sum(0))
    return lambda: (dy.mm(weight), dy.t().mm(x))


def convolution(case):
    """x, weight, bias, dy as PyTorch wants them, and the arguments behind them."""
    stride_y, stride_x, dilation_y, dilation_x, top, bottom, left, right = case["settings"]
    require(top == bottom and left == right, "torch.nn.functional.conv2d pads both sides alike")
    batch, channels, outputs, groups = case["batch"], case["channels"], case["outputs"], case["groups"]
    height = (case["height"] + 2 * top - dilation_y * (case["filterHeight"] - 1) - 1) // stride_y + 1
    width = (case["width"] + 2 * left - dilation_x * (case["filterWidth"] - 1) - 1) // stride_x + 1

    def maps(count, inner, rows, columns):
        if case["channelsLast"]:
            return case.uniform(count, rows, columns, inner).permute(0, 3, 1, 2)
        return case.uniform(count, inner, rows, columns)

    x = maps(batch, channels, case["height"], case["width"])
    weight = maps(outputs, channels // groups, case["filterHeight"], case["filterWidth"])
    bias = case.uniform(outputs) if case["hasBias"] else None
    dy = maps(batch, outputs, height, width)
    return x, weight, bias, dy, ([stride_y, stride_x], [top, left], [dilation_y, dilation_x]), groups


@op("conv2d", "forward", "torch.nn.functional.conv2d")
def conv2d_forward(case):
    x, weight, bias, _, settings, groups = convolution(case)
    return lambda: torch.nn.functional.conv2d(x, weight, bias, *settings, groups)


@op("conv2d", "forward relu", "torch.nn.functional.conv2d, then torch.Tensor.relu_")
def conv2d_forward_relu(case):
    x, weight, bias, _, settings, groups = convolution(case)
    return lambda: torch.nn.functional.conv2d(x, weight, bias, *settings, groups).relu_()


@op("conv2d", "backward data", "aten::convolution_backward, the gradient of the input alone")
def conv2d_backward_data(case):
    x, weight, _, dy, settings, groups = convolution(case)
    mask = [True, False, False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, *settings, False, [0, 0], groups, mask)


@op("conv2d", "backward filter", "aten::convolution_backward, the gradients of weight and bias alone")
def conv2d_backward_filter(case):
    x, weight, bias, dy, settings, groups = convolution(case)
    sizes, mask = None if bias is None else list(bias.shape), [False, True, bias is not None]
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, sizes, *settings, False, [0, 0], groups, mask)


@op("conv2d-transpose", "forward", "torch.nn.functional.conv_transpose2d")
def conv2d_transpose_forward(case):
    y, weight, _, x, (stride, padding, dilation), groups = convolution(case)
    bias = case.uniform(case["channels"]) if case["hasBias"] else None
    less = [(size + 2 * pad - rate * (taps - 1) - 1) % step for size, pad, rate, taps, step in
            zip(y.shape[2:], padding, dilation, weight.shape[2:], stride)]
    return lambda: torch.nn.functional.conv_transpose2d(x, weight, bias, stride, padding, less, groups, dilation)


@op("matmul", "multiply", "torch.mm")
def matmul(case):
    m, n, k = case["m"], case["n"], case["k"]
    a = case.uniform(k, m).t() if case["transposeA"] else case.uniform(m, k)
    b = case.uniform(n, k).t() if case["transposeB"] else case.uniform(k, n)
    c = torch.empty(m, n, dtype=case.dtype, device=case.device)
    return lambda: torch.mm(a, b, out=c)


def cross_entropy(case, reduction):
    """The logits, and the loss as users of PyTorch write it; what PyTorch has no argument for is composed."""
    require(case["smoothing"] == 0 or case["convention"] == "AllClasses", "torch.nn.functional.cross_entropy smooths over all classes")
    rows, classes = case["rows"], case["classes"]
    logits = case.uniform(rows, classes, low=-3, high=3)
    weights = case.uniform(classes, low=0.25, high=2) if case["hasWeights"] else None
    options = {"weight": weights, "label_smoothing": case["smoothing"]}
    if case["targets"] == "Soft":
        require(case["ignoreIndex"] is None, "torch.nn.functional.cross_entropy ignores no rows of soft targets")
        target = case.uniform(rows, classes, low=0, high=2 / classes)
    else:
        require(case["targets"] == "Hard", "torch.nn.functional.cross_entropy takes one label a row")
        target = case.labels(rows, classes)
        if case["ignoreIndex"] is not None:
            options["ignore_index"] = case["ignoreIndex"]
    z_loss, penalty, threshold = case["zLoss"], case["confidencePenalty"], case["entropyThreshold"]

    def loss():
        value = torch.nn.functional.cross_entropy(logits, target, reduction=reduction, **options)
        reduce = {"none": lambda rows: rows, "sum": torch.sum, "mean": torch.mean}[reduction]
        if z_loss:
            value = value + z_loss * reduce(torch.logsumexp(logits, 1) ** 2)
        if penalty:
            entropy = row_entropy(logits)
            value = value + penalty * reduce(-entropy if threshold is None else torch.relu(threshold - entropy))
        return value

    return logits, loss


def row_entropy(logits):
    log_p = torch.log_softmax(logits, 1)
    return -(log_p.exp() * log_p).sum(1)


@op("cross-entropy", "forward", "torch.nn.functional.cross_entropy")
def cross_entropy_forward(case):
    _, loss = cross_entropy(case, case["reduction"].lower())
    return loss


@op("cross-entropy", "backward", "torch.nn.functional.cross_entropy and its backward")
def cross_entropy_backward(case):
    # A loss for each row has the gradient of their sum.
    logits, loss = cross_entropy(case, "mean" if case["reduction"] == "Mean" else "sum")
    logits.requires_grad_()

    def call():
        with torch.enable_grad():
            return torch.autograd.grad(loss(), logits)

    return call


@op("entropy", "forward", "torch.log_softmax, exp, product and sum")
def entropy_forward(case):
    require(not case["hasMask"], "the mask is an argument of ours alone")
    logits = case.uniform(case["rows"], case["classes"], low=-3, high=3)
    return lambda: row_entropy(logits)


@op("entropy", "backward", "torch.log_softmax, exp, product and sum, and their backward")
def entropy_backward(case):
    logits = case.uniform(case["rows"], case["classes"], low=-3, high=3)
    mask = torch.rand(logits.shape, device=case.device) < 0.25 if case["hasMask"] else None
    if mask is not None:
        mask[:, 0] = False  # a row without classes would be NaN
    slopes = torch.ones(case["rows"], dtype=case.dtype, device=case.device)
    logits.requires_grad_()

    def call():
        with torch.enable_grad():
            if mask is None:
                entropy = row_entropy(logits)
            else:  # as torch.distributions users do: a large negative logit, since -inf times 0 is NaN
                entropy = row_entropy(logits.masked_fill(mask, torch.finfo(case.dtype).min))
            return torch.autograd.grad(entropy, logits, slopes)

    return call


def gradient(inputs, forward):
    """A call that times the backward pass alone: the graph of one forward pass is kept."""
    for x in inputs:
        x.requires_grad_()
    with torch.enable_grad():
        y = forward(*inputs)
    dy = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


@op("sgd", "step", "torch.optim.SGD.step, the multi-tensor way on CUDA")
def sgd_step(case):
    return optimizer_step(case, torch.optim.SGD, ["momentum", "dampening", "nesterov"])


@op("adam", "step", "torch.optim.Adam.step, fused on CUDA")
def adam_step(case):
    return optimizer_step(case, torch.optim.Adam, ADAM_SETTINGS)


@op("adamw", "step", "torch.optim.AdamW.step, fused on CUDA")
def adamw_step(case):
    return optimizer_step(case, torch.optim.AdamW, ADAM_SETTINGS)


@op("rmsprop", "step", "torch.optim.RMSprop.step, the multi-tensor way on CUDA")
def rmsprop_step(case):
    return optimizer_step(case, torch.optim.RMSprop, ["momentum", "centered", ("alpha", "secondMomentDecay"), ("eps", "epsilon")])


ADAM_SETTINGS = [("betas", "beta1", "beta2"), ("eps", "epsilon"), ("amsgrad", "usesLargestSecondMoment")]


def optimizer_step(case, kind, settings):
    """The fastest of PyTorch's ways on the device: fused, else multi-tensor (foreach), else one tensor after the other."""
    require(len(case["groups"]) == 1 and case["isPlain"], "timed with one group and plain settings")
    options = case["groups"][0]["options"]
    require(options["l1"] == 0 and options["maximumNorm"] == 0, "torch.optim has neither L1 nor a maximum norm")
    parameters = []
    for shape in case["groups"][0]["shapes"]:
        parameter = torch.nn.Parameter(case.uniform(*shape))
        parameter.grad = case.uniform(*shape)
        parameters.append(parameter)
    # The values do not change the time, and steps without end must not run into infinity.
    arguments = {"lr": 1e-6, "weight_decay": options["weightDecay"]}
    for setting in settings:
        name, *sources = setting if isinstance(setting, tuple) else (setting, setting)
        values = tuple(options[source] for source in sources)
        arguments[name] = values if len(values) > 1 else values[0]
    failure = None
    for way in ({"fused": True}, {"foreach": True}, {}) if case.device.type == "cuda" else ({},):
        try:
            optimizer = kind(parameters, **arguments, **way)
            optimizer.step()  # makes the state
            return optimizer.step
        except (TypeError, ValueError, RuntimeError) as error:
            failure = error
    raise Unsupported(first_line(failure))


@op("norm-penalty", "value", "l1 * w.abs().sum() + l2 * w.square().sum() of each tensor, added up")
def norm_penalty_value(case):
    penalty, parameters = norm_penalty(case)
    return lambda: penalty(parameters)


@op("norm-penalty", "value and gradient", "the same penalty and its backward, added to the gradients")
def norm_penalty_gradient(case):
    penalty, parameters = norm_penalty(case)
    for parameter in parameters:
        parameter.requires_grad_().grad = torch.zeros_like(parameter)

    def call():
        with torch.enable_grad():
            penalty(parameters).backward()

    return call


def norm_penalty(case):
    parameters = [case.uniform(length) for length in case["lengths"]]
    factor = 0.5 if case["convention"] == "Half" else 1.0
    strengths = [(strength["l1"], factor * strength["l2"]) for strength in case["strengths"]]
    return lambda tensors: sum(l1 * w.abs().sum() + l2 * w.square().sum() for w, (l1, l2) in zip(tensors, strengths)), parameters


@op("tied-gradients", "sum", "sum() over the uses of each gradient")
@op("tied-gradients", "add", "torch.Tensor.add_ of each use")
def tied_gradients(case):
    gradients = [case.uniform(length) for length in case["lengths"]]
    uses = [[case.uniform(length) for _ in range(count)] for length, count in zip(case["lengths"], case["uses"])]

    def call():
        if case["entry"] == "sum":
            return [sum(use[1:], use[0]) for use in uses]
        for gradient, use in zip(gradients, uses):
            for part in use:
                gradient.add_(part)
        return gradients

    return call


@op("soft-sharing", "value", "strength / 2 * (a - b).square().sum()")
def soft_sharing_value(case):
    a, b = case.uniform(case["length"]), case.uniform(case["length"])
    return lambda: case["strength"] / 2 * (a - b).square().sum()


@op("soft-sharing", "value and gradient", "the same and its backward, added to the gradients")
def soft_sharing_gradient(case):
    a, b = case.uniform(case["length"]).requires_grad_(), case.uniform(case["length"]).requires_grad_()
    a.grad, b.grad = torch.zeros_like(a), torch.zeros_like(b)

    def call():
        with torch.enable_grad():
            (case["strength"] / 2 * (a - b).square().sum()).backward()

    return call


@op("parameter-snapshot", "save", "torch.Tensor.copy_ of each tensor")
def parameter_snapshot_save(case):
    parameters = [case.uniform(length) for length in case["lengths"]]
    copies = [torch.empty_like(parameter) for parameter in parameters]

    def call():
        for parameter, copy in zip(parameters, copies):
            copy.copy_(parameter)

    return call


@op("random", "fill", "torch.Tensor.random_ on 32-bit integers (31 random bits each)")
def random_fill(case):
    words = torch.empty(4 * case["blocks"], dtype=torch.int32, device=case.device)
    return words.random_


# --- Timing and conversation ----------------------------------------------------------------------------------------


def require(condition, reason):
    if not condition:
        raise Unsupported(reason)


class Session:
    """Answers requests; keeps the device, the buffer that empties the caches, and the call prepared last."""

    def start(self, request):
        self.device = torch.device(request["device"])
        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        if self.device.type == "cuda":
            if not torch.cuda.is_available():
                raise RuntimeError("this PyTorch has no CUDA device")
            torch.cuda.set_device(self.device)
            # Float products in float precision, as ours are.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.flush = torch.zeros(FLUSH_BYTES, dtype=torch.uint8, device=self.device)
        self.call = None
        facts = [f"CUDA {torch.version.cuda}" if self.device.type == "cuda" else blas_in_use()]
        if request.get("keepsHeap"):
            facts.append("heap kept")  # by the environment of this process; only the name is made here
        return {"name": f"PyTorch {torch.__version__} ({', '.join(facts)})", "threads": torch.get_num_threads()}

    def prepare(self, request):
        self.call = None  # frees the tensors of the problem before
        key = request["op"], request["problem"]["entry"]
        if key not in OPS:
            return {"unsupported": "no counterpart"}
        call, make = OPS[key]
        try:
            self.call = make(Case(request, self.device))
            self.call()
        except (Unsupported, NotImplementedError, RuntimeError) as error:
            self.call = None
            return {"unsupported": first_line(error)}
        return {"call": call}

    def run(self, request):
        cold, warm = self.time_cuda() if self.device.type == "cuda" else self.time_cpu()
        return {"cold": cold, "warm": warm}

    def time_cpu(self):
        self.flush.fill_(1)
        start = time.perf_counter_ns()
        result = self.call()
        middle = time.perf_counter_ns()
        del result  # freeing the result is not part of the op
        again = time.perf_counter_ns()
        result = self.call()
        end = time.perf_counter_ns()
        del result
        time.sleep(REST)
        return (middle - start) / 1e6, (end - again) / 1e6

    def time_cuda(self):
        start, middle, end = (torch.cuda.Event(enable_timing=True) for _ in range(3))
        if hasattr(torch.cuda, "_sleep"):
            torch.cuda._sleep(HEAD_START)
        self.flush.fill_(1)
        start.record()
        self.call()
        middle.record()
        self.call()
        end.record()
        end.synchronize()
        return start.elapsed_time(middle), middle.elapsed_time(end)


def blas_in_use():
    """Which library multiplies matrices on the CPU: it decides about a factor of a hundred, and PyTorch itself does not always know."""
    if torch.backends.mkl.is_available():
        return "MKL"
    torch.mm(torch.ones(2, 2), torch.ones(2, 2))  # whatever is used is loaded now
    names = (
        (r"openblas[^/]*?r(\d[\d.]*\d)", "OpenBLAS"),
        (r"openblas", "OpenBLAS"),
        (r"libblis", "BLIS"),
        (r"libblas", "reference BLAS"),
    )
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            loaded = maps.read()
    except OSError:
        loaded = ""
    for pattern, name in names:
        found = re.search(pattern, loaded)
        if found:
            return f"{name} {found[1]}" if found.groups() else name
    return "unknown BLAS"


def first_line(error):
    return f"{type(error).__name__}: {error}".strip().split("\n")[0]


def main():
    # Replies have the standard output to themselves: what libraries print there goes to standard error.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    global torch
    try:
        import torch
    except ImportError as error:
        sys.stdin.readline()
        print(json.dumps({"error": first_line(error)}), file=replies, flush=True)
        return

    # The command says when it is over, by closing the input; signals to the whole group are for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    session = Session()
    answers = {"start": session.start, "prepare": session.prepare, "run": session.run}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            reply = answers[request["do"]](request)
        except Exception as error:  # the conversation goes on, whatever went wrong
            reply = {"error": first_line(error)}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
