"""`torch.nn.functional` with this library's ops in place of PyTorch's: the same names and arguments, and some that PyTorch does not have.

What is not here is PyTorch's own. Random functions take a `key` besides, a pair (seed, offset); without one each call gets a new key.
Tensors lie in rows or with channels last, and are taken as they lie; others are copied.
"""

import torch
import torch.nn.functional as _torch
from torch.nn._reduction import legacy_get_string

from .. import _autograd, _compile, random
from .._tensors import integers, real, settle

ops = _autograd.ops


def __getattr__(name):
    return getattr(_torch, name)


def _pair(value):
    return (int(value), int(value)) if not isinstance(value, (tuple, list)) else tuple(int(one) for one in (value * 2)[:2])


def _probability(p):
    if not 0 <= p <= 1:
        raise ValueError(f"a drop probability lies in [0, 1]; this is {p}")
    return float(p)


def _same_shape(input, residual):
    if residual.shape != input.shape:
        raise ValueError(f"the residual has the shape {tuple(residual.shape)}, not that of the input, {tuple(input.shape)}")


def _diagonal(x, op, inplace=False, has_layout=False, key=None, **settings):
    if not x.is_floating_point():
        raise TypeError(f"{op} takes tensors of floating-point numbers, not of {x.dtype}")
    settings["key"] = random.next_key() if key is None else key
    return _autograd.Diagonal.apply(x, f"{op}_forward", f"{op}_backward", has_layout, inplace, settings)


# --- Dropout --------------------------------------------------------------------------------------------------------------


def dropout(input, p=0.5, training=True, inplace=False, *, key=None):
    """y = m x / q: elements are dropped with probability p. See kernels/docs/dropout.md."""
    p = _probability(p)
    return _diagonal(input, "dropout", inplace, key=key, drop_probability=p) if training and p > 0 else input


def alpha_dropout(input, p=0.5, training=False, inplace=False, *, key=None):
    """Dropout that keeps mean 0 and variance 1 in SELU networks."""
    p = _probability(p)
    return _diagonal(input, "alpha_dropout", inplace, key=key, drop_probability=p, global_start=0) if training and p > 0 else input


def gaussian_dropout(input, p=0.5, training=True, inplace=False, *, key=None):
    """y = x (1 + sqrt(p / (1 - p)) n) with normal n."""
    if not training or p == 0:
        return input
    return _diagonal(input, "gaussian_dropout", inplace, key=key, drop_probability=float(p), global_start=0)


def _channels(input, p, training, inplace, key, dimensions):
    p = _probability(p)
    if input.dim() not in dimensions:
        raise ValueError(f"{' or '.join(map(str, dimensions))} dimensions are expected, not {input.dim()}")
    if not training or p == 0:
        return input
    is_batch = input.dim() == max(dimensions) or dimensions == (3, 4)
    x = input if is_batch else input.unsqueeze(0)
    y = _diagonal(x, "channel_dropout", inplace, has_layout=True, key=key, drop_probability=p)
    return y if is_batch else y.squeeze(0)


def dropout1d(input, p=0.5, training=True, inplace=False, *, key=None):
    """Drops channels of (N, C, L) or (C, L)."""
    return _channels(input, p, training, inplace, key, (2, 3))


def dropout2d(input, p=0.5, training=True, inplace=False, *, key=None):
    """Drops channels of (N, C, H, W); three dimensions are (N, C, L), as in PyTorch."""
    return _channels(input, p, training, inplace, key, (3, 4))


def dropout3d(input, p=0.5, training=True, inplace=False, *, key=None):
    """Drops channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _channels(input, p, training, inplace, key, (4, 5))


def variational_dropout(input, p=0.5, training=True, inplace=False, batch_first=False, *, key=None):
    """One mask for all steps of a sequence (AWD-LSTM's locked dropout); input (L, N, H), or (N, L, H) with `batch_first`."""
    p = _probability(p)
    if not training or p == 0:
        return input
    settings = {"drop_probability": p, "layout": "batch_first" if batch_first else "time_first"}
    return _diagonal(input, "variational_dropout", inplace, key=key, **settings)


def drop_block(input, p, block_size, training=True, inplace=False, *, rate="exact", normalization="batch", shared_channels=False, key=None):
    """Drops blocks of 1d, 2d and 3d maps with channels before them. `rate` "paper" is the published formula, which drops less than p."""
    p = _probability(p)
    if not training or p == 0:
        return input
    sizes = list(block_size) if isinstance(block_size, (tuple, list)) else [int(block_size)]
    settings = {"block_size": sizes, "rate": {"rule": rate, "value": p}, "normalization": normalization, "shared_channels": shared_channels}
    return _diagonal(input, "drop_block", inplace, has_layout=True, key=key, **settings)


drop_block1d = drop_block2d = drop_block3d = drop_block


def stochastic_depth(input, p, mode="row", training=True, *, residual=None, relu=False, key=None):
    """Drops rows of the first dimension, or with mode "batch" everything, and scales what is kept.

    With a `residual` the result is residual + b input in one pass, or max(residual + b input, 0) with `relu`.
    """
    p = _probability(p)
    if mode not in ("row", "batch"):
        raise ValueError(f"the mode is 'row' or 'batch', not '{mode}'")
    if residual is None:
        if relu:
            raise ValueError("relu=True goes with a residual")
        if not training or p == 0:
            return input
        settings = {"drop_probability": p, "key": random.next_key() if key is None else key, "global_start": 0}
        settings["shared_axes"] = list(range(1 if mode == "row" else 0, input.dim()))
        name = "channel_dropout_apply"
        return _autograd.Diagonal.apply(input.contiguous(), name, name, False, False, settings)
    _same_shape(input, residual)
    settings = {"drop_probability": p if training else 0.0, "key": (0, 0), "mode": mode, "relu": relu}
    if training and p > 0:
        settings["key"] = random.next_key() if key is None else key
    return _autograd.StochasticDepth.apply(residual, input, settings)


def bias_dropout_residual(input, bias, residual, p=0.5, training=True, *, row_p=0.0, key=None):
    """residual + dropout(input + bias) in one pass; rows, all but the last dimension, are dropped with probability `row_p` besides."""
    _same_shape(input, residual)
    p, row_p = (_probability(p), _probability(row_p)) if training else (0.0, 0.0)
    settings = {"drop_probability": p, "row_drop_probability": row_p, "key": (0, 0)}
    if p > 0 or row_p > 0:
        settings["key"] = random.next_key() if key is None else key
    return _autograd.BiasDropoutResidual.apply(input, bias, residual, settings)


class _Noise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, std, key):
        x = x.contiguous()
        y = torch.empty_like(x)
        ops["gaussian_noise_forward"](x, y, std, key, 0)
        return y

    @staticmethod
    def backward(ctx, dy):
        return dy, None, None


def gaussian_noise(input, std=0.1, training=True, *, key=None):
    """y = x + std n with normal n."""
    if not 0 <= std < float("inf"):
        raise ValueError(f"a standard deviation is finite and at least 0; this is {std}")
    return _Noise.apply(input, float(std), random.next_key() if key is None else key) if training and std > 0 else input


# --- Attention and embeddings ---------------------------------------------------------------------------------------------


def attention_dropout(scores, p=0.0, training=True, *, mask=None, key_lengths=None, causal=False, scale=1.0, key=None):
    """dropout(softmax(scale scores + mask)) over the last dimension.

    scores (..., queries, keys). `mask` is added, or, if boolean, says which keys are seen; its shape broadcasts to that of scores.
    `key_lengths` (batch) hides padding. `causal` lets the last query see all keys.
    """
    p = _probability(p) if training else 0.0
    if scores.dim() < 2:
        raise ValueError(f"scores have at least queries and keys; these have {scores.dim()} dimensions")
    *outer, queries, keys = scores.shape
    if mask is not None:
        if mask.dtype is torch.bool:
            mask = torch.zeros(mask.shape, dtype=scores.dtype, device=mask.device).masked_fill_(~mask, float("-inf"))
        mask = _mask(mask.to(scores.dtype), scores.shape)
    shape = scores.shape if scores.dim() == 4 else (scores.numel() // max(1, queries * keys), 1, queries, keys)
    if scores.numel() == 0:
        return scores.clone()
    settings = {"scale": float(scale), "drop_probability": p, "causal": bool(causal), "key": (0, 0)}
    if p > 0:
        settings["key"] = random.next_key() if key is None else key
    lengths = None if key_lengths is None else integers(key_lengths)
    y = _autograd.AttentionDropout.apply(scores.reshape(shape), mask, lengths, settings).view(scores.shape)
    if lengths is not None:
        settle(y)
    return y


def _mask(mask, shape):
    """The mask in two dimensions, or in four that are 1 or those of the scores."""
    if mask.dim() < 2 or mask.shape[-1] != shape[-1]:
        mask = mask.expand(*([1] * (2 - mask.dim())), *mask.shape[:-1], shape[-1])
    if mask.dim() == 2 and mask.shape[0] == shape[-2]:
        return mask.contiguous()
    mask = mask.view(*([1] * (len(shape) - mask.dim())), *mask.shape) if mask.dim() < len(shape) else mask
    if len(shape) == 3:
        mask = mask.unsqueeze(1)
    elif len(shape) != 4:
        mask = mask.expand(shape).reshape(-1, 1, *shape[-2:])
    return mask.contiguous()


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, *, random_key=None):
    """dropout(softmax(query key^T scale + mask)) value, with softmax, mask and dropout in one pass over the scores."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.matmul(query, key.transpose(-2, -1))
    if is_causal and scores.shape[-1] != scores.shape[-2]:
        # PyTorch counts queries and keys from the start, this library from the end.
        attn_mask, is_causal = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(), False
    return torch.matmul(attention_dropout(scores, dropout_p, mask=attn_mask, causal=is_causal, scale=scale, key=random_key), value)


def embedding_dropout(input, weight, p=0.1, training=True, *, padding_idx=None, scope="batch", key=None):
    """Rows of `weight` by their ids, whole rows dropped: all occurrences of a word ("batch"), those of a sequence, or each position."""
    p = _probability(p) if training else 0.0
    settings = {"drop_probability": p, "scope": scope, "key": (0, 0)}
    if padding_idx is not None:
        settings["padding_index"] = padding_idx if padding_idx >= 0 else weight.shape[0] + padding_idx
    if p > 0:
        settings["key"] = random.next_key() if key is None else key
    y = _autograd.EmbeddingDropout.apply(weight, integers(input), settings)
    settle(y)
    return y


# --- Losses ---------------------------------------------------------------------------------------------------------------


def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0, *,
    other_target=None, share=None, smoothing="all_classes", z_loss=0.0, confidence_penalty=0.0, entropy_threshold=None,
):  # fmt: skip
    """PyTorch's cross-entropy, with z-loss and confidence penalty, and targets mixed of two labels.

    The loss is in float32 for 16-bit logits. `share` (N) is the part of `target`, the rest that of `other_target` (mixup, CutMix).
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if (other_target is None) != (share is None):
        raise ValueError("other_target and share go together: a target of two labels, and the part of the first")
    is_batch = input.dim() > 1
    logits = (input if is_batch else input.unsqueeze(0)).movedim(1, -1)
    shape, classes = logits.shape[:-1], logits.shape[-1]
    logits = logits.reshape(-1, classes)
    settings = {"reduction": reduction, "smoothing": float(label_smoothing), "smoothing_convention": smoothing, "empty_mean": "nan"}
    settings |= {"z_loss": float(z_loss), "confidence_penalty": float(confidence_penalty), "entropy_threshold": entropy_threshold}
    if target.is_floating_point():
        if target.shape != input.shape:
            raise ValueError(f"probabilities have the shape of the logits, {tuple(input.shape)}, not {tuple(target.shape)}")
        if target.requires_grad:
            raise ValueError("targets get no gradient; detach() them")
        probabilities = (target if is_batch else target.unsqueeze(0)).movedim(1, -1).reshape(-1, classes)
        targets = {"probabilities": probabilities.to(logits.dtype).contiguous()}
    else:
        settings["ignore_index"] = ignore_index
        expected = shape if is_batch else ()
        labels = {"labels": target} if other_target is None else {"labels": target, "other_labels": other_target}
        for labels_ in labels.values():
            if labels_.shape != expected:
                raise ValueError(f"labels of logits {tuple(input.shape)} have the shape {tuple(expected)}, not {tuple(labels_.shape)}")
        targets = {name: integers(labels_).view(-1) for name, labels_ in labels.items()}
        if other_target is not None:
            targets["shares"] = share.to(real(logits.dtype)).expand(shape).reshape(-1).contiguous()
    weight = None if weight is None else weight.to(real(logits.dtype)).contiguous()
    loss = _autograd.CrossEntropy.apply(logits, targets, weight, settings)
    settle(loss)
    return loss if reduction != "none" else loss.view(shape if is_batch else ())


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The mean of squared differences, in float32 for 16-bit inputs; other reductions, and shapes that differ, are PyTorch's own."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if reduction != "mean" or input.shape != target.shape or input.dtype is not target.dtype or input.numel() == 0:
        return _torch.mse_loss(input, target, reduction=reduction)
    return _autograd.MeanSquaredError.apply(input, target)


def discriminator_loss(real_logits, generated_logits, form="non_saturating", *, return_summary=False):
    """A discriminator's loss: mean softplus(-real) + mean softplus(generated), or with form "hinge" means of max(0, 1 -+ logit).

    The summary has the two means and the shares of real and of generated logits above 0, and no gradient.
    """
    loss, summary = _autograd.DiscriminatorLoss.apply(real_logits, generated_logits, form)
    return (loss, summary) if return_summary else loss


def generator_loss(generated_logits, form="non_saturating", *, return_summary=False):
    """A generator's loss: mean softplus(-generated), or with form "hinge" -mean generated.

    The summary has the loss and the share of logits above 0, and no gradient.
    """
    loss, summary = _autograd.GeneratorLoss.apply(generated_logits, form)
    return (loss, summary) if return_summary else loss


# --- Normalization --------------------------------------------------------------------------------------------------------


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, *, lengths=None):
    """PyTorch's batch normalization, with mean and deviation that do not cancel.

    `lengths` (N) says how many places of each sample count, from its first on: what is padding is no part of statistics, and 0 in the
    result and in gradients, whatever it was.
    """
    return _batch_norm("batch_norm", input, None, running_mean, running_var, weight, bias, training, momentum, eps, {}, lengths)


def batch_norm_relu(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, p=0.0, *, key=None, lengths=None
):
    """dropout(relu(batch_norm(input))) in one pass; neither mask is stored."""
    kept, settings = (running_mean, running_var, weight, bias), _dropout_settings(p, training, key)
    return _batch_norm("batch_norm_relu", input, None, *kept, training, momentum, eps, settings, lengths)


def batch_norm_add_relu(
    input, residual, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, p=0.0, *, key=None,
    lengths=None,
):  # fmt: skip
    """dropout(relu(batch_norm(input) + residual)) in one pass."""
    kept, settings = (running_mean, running_var, weight, bias), _dropout_settings(p, training, key)
    return _batch_norm("batch_norm_add_relu", input, residual, *kept, training, momentum, eps, settings, lengths)


def _dropout_settings(p, training, key):
    p = _probability(p) if training else 0.0
    return {"drop_probability": p, "key": (0, 0) if p == 0 else random.next_key() if key is None else key}


def _batch_norm(kind, x, residual, mean, variance, gamma, beta, training, momentum, eps, settings, lengths):
    lengths = None if lengths is None else integers(lengths)
    if residual is not None:
        _same_shape(x, residual)
    if not training:
        return _batch_norm_infer(kind, x, residual, mean, variance, gamma, beta, eps, lengths)
    if x.numel() // max(1, x.shape[1]) == 1:
        raise ValueError(f"more than one value for each channel is needed in training; the input is {tuple(x.shape)}")
    kept = real(x.dtype)
    # Parameters and running values of half types are calculated with as floats.
    running = None if mean is None else [value.to(kept) for value in (mean, variance)]
    gamma, beta = (None if value is None else value.to(kept) for value in (gamma, beta))
    options = {"epsilon": eps, "momentum": 0.0 if momentum is None else momentum, "lengths": lengths}
    y = _autograd.BatchNorm.apply(x, residual, gamma, beta, *(running or (None, None)), kind, settings, options)
    if running is not None and running[0] is not mean:
        mean.copy_(running[0])
        variance.copy_(running[1])
    return y


def _batch_norm_infer(kind, x, residual, mean, variance, gamma, beta, eps, lengths):
    if torch.is_grad_enabled() and any(value is not None and value.requires_grad for value in (x, residual, gamma, beta)):
        # The gradient of a network that is not in training is no gradient of a batch; it is PyTorch's own.
        padding = None if lengths is None else _padding_of(x, lengths)
        x = x if padding is None else x.masked_fill(padding, 0)
        y = _torch.batch_norm(x, mean, variance, gamma, beta, False, 0.0, eps)
        y = y if residual is None else y + residual
        y = y if kind == "batch_norm" else _torch.relu(y)
        return y if padding is None else y.masked_fill(padding, 0)
    return _Infer.apply(x, residual, gamma, beta, mean, variance, kind, {"epsilon": eps, "lengths": lengths})


def _padding_of(x, lengths):
    """Which places of samples are beyond their lengths, for all channels."""
    places = torch.arange(x[0, 0].numel(), device=x.device).view(1, 1, *x.shape[2:])
    return places >= lengths.view(-1, *[1] * (x.dim() - 1))


class _Infer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, residual, gamma, beta, mean, variance, kind, options):
        ctx.format = _autograd.format_of(x)
        x, kept = _autograd.dense(x, ctx.format), real(x.dtype)
        y = torch.empty_like(x)
        parameters = [None if value is None else value.to(kept) for value in (gamma, beta, mean, variance)]
        added = [] if residual is None else [_autograd.rows(ctx, _autograd.dense(residual, ctx.format))]
        options = {**options, "layout": _autograd.layout(ctx.format)}
        ops[f"{kind}_infer"](_autograd.rows(ctx, x), *added, *parameters, _autograd.rows(ctx, y), **options)
        return y


def spectral_norm(weight, u, v, n_power_iterations=1, eps=1e-12):
    """The weight (out, ...) over its largest singular value.

    u (out) and v (elements of a row) are the state, which each iteration moves on: first u, then v. In gradients they are constants.
    """
    return _autograd.SpectralNorm.apply(weight, u, v, int(n_power_iterations), float(eps))


def minibatch_deviation(input, group_size=4, eps=1e-8):
    """The input with one more channel, the deviation within sets of `group_size` samples (StyleGAN's discriminator)."""
    return _autograd.MinibatchDeviation.apply(input, int(group_size), float(eps))


# --- Convolution and other layers -----------------------------------------------------------------------------------------


def _padding(padding, kernel, dilation):
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        totals = [step * (size - 1) for step, size in zip(dilation, kernel)]
        return (totals[0] // 2, totals[0] - totals[0] // 2, totals[1] // 2, totals[1] - totals[1] // 2)
    rows, columns = _pair(padding)
    return (rows, rows, columns, columns)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """PyTorch's convolution, deterministic in both directions."""
    stride, dilation = _pair(stride), _pair(dilation)
    if padding == "same" and stride != (1, 1):
        raise ValueError("padding='same' is not supported for strided convolutions")
    options = {"stride": stride, "dilation": dilation, "groups": int(groups), "padding": _padding(padding, weight.shape[2:], dilation)}
    return _convolve("conv2d", input, weight, bias, None, options)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """PyTorch's transposed convolution."""
    stride, dilation = _pair(stride), _pair(dilation)
    options = {"stride": stride, "dilation": dilation, "groups": int(groups), "padding": _padding(padding, weight.shape[2:], dilation)}
    return _convolve("conv2d_transpose", input, weight, bias, _pair(output_padding), options)


def _autocast(x, *parameters):
    """Products in the type of torch.autocast, where it is on."""
    if not (torch.is_autocast_enabled() if x.is_cuda else torch.is_autocast_cpu_enabled()):
        return (x, *parameters)
    dtype = torch.get_autocast_gpu_dtype() if x.is_cuda else torch.get_autocast_cpu_dtype()
    return tuple(one if one is None or one.dtype is torch.float64 else one.to(dtype) for one in (x, *parameters))


def _convolve(name, input, weight, bias, output_padding, options):
    input, weight, bias = _autocast(input, weight, bias)
    x = input if input.dim() == 4 else input.unsqueeze(0)
    y = _autograd.Conv2d.apply(x, weight, bias, name, output_padding, options)
    return y if input.dim() == 4 else y.squeeze(0)


def linear(input, weight, bias=None):
    """x w^T + b."""
    if input.dim() == 0:
        raise ValueError("the input of a linear layer has at least one dimension")
    return _autograd.Linear.apply(*_autocast(input, weight, bias))


def relu(input, inplace=False):
    """max(x, 0); that of integers is PyTorch's own."""
    if not input.is_floating_point():
        return _torch.relu(input, inplace)
    return _autograd.Activation.apply(input, "relu", inplace, {})


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where x > 0, else negative_slope x; a slope below 0 is PyTorch's own."""
    if negative_slope < 0:
        return _torch.leaky_relu(input, negative_slope, inplace)
    return _autograd.Activation.apply(input, "leaky_relu", inplace, {"negative_slope": float(negative_slope)})


def tanh(input):
    """The hyperbolic tangent."""
    return _autograd.Activation.apply(input, "tanh", False, {})


def sigmoid(input):
    """1 / (1 + e^-x)."""
    return _autograd.Activation.apply(input, "sigmoid", False, {})


def interpolate(input, size=None, scale_factor=None, mode="nearest", *arguments, **settings):
    """Nearest maps (N, C, H, W) that are larger by integers, with a deterministic gradient; all else is PyTorch's own."""
    factor = None
    if mode == "nearest" and input.dim() == 4 and input.is_floating_point():
        wanted = size if scale_factor is None else scale_factor
        wanted = tuple(wanted) if isinstance(wanted, (tuple, list)) else (wanted, wanted)
        if scale_factor is None and len(wanted) == 2 and None not in wanted:
            wanted = [side / old if old else 0 for side, old in zip(wanted, input.shape[2:])]
        if len(wanted) == 2 and all(one is not None and one >= 1 and one == int(one) for one in wanted):
            factor = tuple(int(one) for one in wanted)
    if factor is None or (size is not None and scale_factor is not None):
        return _torch.interpolate(input, size, scale_factor, mode, *arguments, **settings)
    return _autograd.NearestUpsample.apply(input, factor)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """PyTorch's max pooling, with an index of one byte and a deterministic gradient; with `return_indices` it is PyTorch's own."""
    if return_indices:
        return _torch.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    rows, columns = _pair(padding)
    options = {"stride": _pair(kernel_size if stride is None else stride), "padding": (rows, rows, columns, columns)}
    return _pool(_autograd.MaxPool2d, input, _pair(kernel_size), {**options, "dilation": _pair(dilation), "ceil_mode": bool(ceil_mode)})


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """PyTorch's average pooling."""
    rows, columns = _pair(padding)
    options = {"stride": _pair(kernel_size if stride is None else stride), "padding": (rows, rows, columns, columns)}
    options |= {"ceil_mode": bool(ceil_mode), "excludes_padding": not count_include_pad, "divisor": divisor_override}
    return _pool(_autograd.AveragePool2d, input, _pair(kernel_size), options)


def adaptive_avg_pool2d(input, output_size):
    """The mean of whole maps for an output of 1; other sizes are PyTorch's own."""
    if output_size not in (1, (1, 1), [1, 1]):
        return _torch.adaptive_avg_pool2d(input, output_size)
    return _pool(_autograd.AveragePool2d, input, None, {})


def _pool(function, input, window, options):
    y = function.apply(input if input.dim() == 4 else input.unsqueeze(0), window, options)
    return y if input.dim() == 4 else y.squeeze(0)


def affine(input, theta, size, mode="bilinear", padding_mode="zeros", align_corners=False, fill=0.0):
    """`grid_sample(input, affine_grid(theta, size))` in one pass; theta is taken, and gets its gradient, in float32."""
    borders = {"zeros": "constant", "border": "edge", "reflection": "reflect"}
    if padding_mode not in borders:
        raise ValueError(f"the padding mode is one of {', '.join(borders)}, not '{padding_mode}'")
    options = {"interpolation": mode, "border": borders[padding_mode], "align_corners": bool(align_corners), "fill": float(fill)}
    return _autograd.Affine.apply(input, theta.to(torch.float32), tuple(size[-2:]), options)


def cutout(input, side, training=True, *, holes=1, fill=0.0, p=1.0, sample_ids=None, key=None):
    """Squares of each image become a constant."""
    if not training:
        return input
    settings = {"sample_ids": sample_ids, "side": int(side), "more_holes": holes - 1, "fill": float(fill), "skip_probability": 1.0 - p}
    return _diagonal(input, "cutout", has_layout=True, key=key, **settings)


def random_erase(input, area=(0.02, 0.33), aspect=(0.3, 3.3), training=True, *, fill=0.0, noise=0.0, p=0.5, sample_ids=None, key=None):
    """A rectangle of each image becomes a constant, or normal numbers of the deviation `noise`."""
    if not training:
        return input
    settings = {"sample_ids": sample_ids, "area": tuple(area), "aspect": tuple(aspect), "fill": float(fill)}
    settings |= {"noise_deviation": float(noise), "skip_probability": 1.0 - p}
    return _diagonal(input, "random_erase", has_layout=True, key=key, **settings)


def differentiable_augment(
    input, brightness=0.5, saturation=1.0, contrast=0.5, translation=0.125, cutout=0.5, p=1.0, training=True, *, sample_ids=None, key=None
):
    """Colours, a shift and a box of zeros of each image, with a gradient (DiffAugment, whose strengths for [-1, 1] are the defaults).

    A strength of colours is a distance from what does nothing, or a pair of bounds. `p` of each transform is a number, or a tensor of one
    that may change on its device (ADA).
    """
    if not training:
        return input
    policy = {"translation": float(translation), "cutout": float(cutout)}
    for name, value, middle in (("brightness", brightness, 0.0), ("saturation", saturation, 1.0), ("contrast", contrast, 1.0)):
        policy[name] = value if isinstance(value, (tuple, list)) else (middle - value, middle + value)
    probability = p.detach().to(torch.float32).reshape(1) if isinstance(p, torch.Tensor) else None
    if probability is None:
        policy["probability"] = _probability(p)
    settings = {"policy": policy, "key": random.next_key() if key is None else key}
    return _autograd.DifferentiableAugment.apply(input, sample_ids, probability, settings)


_compile.leave_out(__name__)
