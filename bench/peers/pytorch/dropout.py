"""The dropout family, stochastic depth and random numbers."""

import torch
from case import gradient, op, require


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


@op("gaussian-dropout", "forward-with-factors", "noise = 1 + sigma * torch.randn_like(x), which is stored; x * noise")
def gaussian_dropout_forward_factors(case):
    return gaussian_dropout_forward(case)


@op("gaussian-dropout", "backward-with-factors", "the gradient times the stored noise")
def gaussian_dropout_backward_factors(case):
    return gaussian_dropout_backward(case)


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


@op("drop-block", "forward-with-mask", "torchvision.ops.drop_block2d, written out; its mask is stored")
def drop_block_forward_kept(case):
    return drop_block_forward(case)


@op("drop-block", "backward-with-mask", "the gradient times the stored mask")
def drop_block_backward_kept(case):
    return drop_block_backward(case)


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


@op("random", "fill", "torch.Tensor.random_ on 32-bit integers (31 random bits each)")
def random_fill(case):
    words = torch.empty(4 * case["blocks"], dtype=torch.int32, device=case.device)
    return words.random_
