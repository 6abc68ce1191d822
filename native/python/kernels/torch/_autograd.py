"""The ops as `torch.autograd.Function`s. What backward needs of a random op is its key; no mask is stored."""

import math

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .. import _calls
from . import _compile
from ._tensors import dense, finished, format_of, layout, real, rows, target

ops = _calls.made


class Diagonal(Function):
    """An op that multiplies each element by a number it draws, and may add another: dropout and its relatives.

    Its gradient multiplies by the same numbers, so that the gradient's gradient is the same call again.
    """

    @staticmethod
    def forward(ctx, x, forward, backward, has_layout, inplace, settings):
        ctx.format, ctx.call = format_of(x), (backward, has_layout, settings)
        given, y = target(ctx, x, inplace)
        if has_layout:
            settings = {**settings, "layout": layout(ctx.format)}
        result = "dx" if forward.endswith("_backward") else "y"
        ops[forward](rows(ctx, given), **{result: rows(ctx, y)}, **settings)
        return finished(x, y, inplace)

    @staticmethod
    def backward(ctx, dy):
        backward, has_layout, settings = ctx.call
        dy = dense(dy, ctx.format)
        return Diagonal.apply(dy, backward, backward, has_layout, False, settings), None, None, None, None, None


class StochasticDepth(Function):
    """y = x + b f, with or without ReLU; one b for each row or for the call."""

    @staticmethod
    def forward(ctx, x, f, settings):
        ctx.format, ctx.settings = format_of(x), settings
        x, f = dense(x, ctx.format), dense(f, ctx.format)
        y = torch.empty_like(x)
        ops["stochastic_depth_forward"](rows(ctx, x), rows(ctx, f), rows(ctx, y), **settings)
        ctx.save_for_backward(*([y] if settings.get("relu") else []))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dense(dy, ctx.format)
        y, relu = (rows(ctx, ctx.saved_tensors[0]) if ctx.saved_tensors else None), ctx.settings.get("relu")
        df = torch.empty_like(dy)
        dx = torch.empty_like(dy) if relu else dy
        ops["stochastic_depth_backward"](y, rows(ctx, dy), rows(ctx, dx) if relu else None, rows(ctx, df), **ctx.settings)
        return dx, df, None


class BiasDropoutResidual(Function):
    """y = residual + dropout(x + bias)."""

    @staticmethod
    def forward(ctx, x, bias, residual, settings):
        x, residual = x.contiguous(), residual.contiguous()
        y = torch.empty_like(x)
        ops["bias_dropout_residual_forward"](_matrix(x), bias, None, _matrix(residual), _matrix(y), **settings)
        ctx.settings, ctx.has_bias = settings, bias is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dy.contiguous()
        dx = torch.empty_like(dy)
        dbias = torch.empty(dy.shape[-1], dtype=dy.dtype, device=dy.device) if ctx.has_bias else None
        bias = torch.empty_like(dbias) if ctx.has_bias else None  # its values are not looked at: no channel has a scale
        ops["bias_dropout_residual_backward"](None, bias, None, _matrix(dy), _matrix(dx), dbias, None, **ctx.settings)
        return dx, dbias, dy, None


def _matrix(x):
    return x.view(math.prod(x.shape[:-1]), x.shape[-1])


class AttentionDropout(Function):
    """dropout(softmax(scale * scores + mask)); scores of [batch, heads, queries, keys]."""

    @staticmethod
    def forward(ctx, scores, mask, key_lengths, settings):
        scores = scores.contiguous()
        y = torch.empty_like(scores)
        ops["attention_dropout_forward"](scores, key_lengths, mask, y, **settings)
        ctx.save_for_backward(scores, mask, key_lengths)
        ctx.settings = settings
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        scores, mask, key_lengths = ctx.saved_tensors
        dscores = torch.empty_like(scores)
        ops["attention_dropout_backward"](scores, key_lengths, mask, dy.contiguous(), dscores, **ctx.settings)
        dmask = None
        if mask is not None and ctx.needs_input_grad[1]:
            dmask = (dscores / ctx.settings["scale"]).sum_to_size(mask.shape if mask.dim() == 4 else (1, 1, *mask.shape)).view(mask.shape)
        return dscores, dmask, None, None


class EmbeddingDropout(Function):
    """Rows of a table by their ids, whole rows dropped."""

    @staticmethod
    def forward(ctx, table, ids, settings):
        table = table.contiguous()
        y = torch.empty((*ids.shape, table.shape[1]), dtype=table.dtype, device=table.device)
        ops["embedding_dropout_forward"](ids, table, y, **settings)
        ctx.save_for_backward(ids)
        ctx.shape, ctx.settings = table.shape, settings
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dtable = torch.zeros(ctx.shape, dtype=dy.dtype, device=dy.device)
        ops["embedding_dropout_backward"](ctx.saved_tensors[0], dy.contiguous(), dtable, **ctx.settings)
        return dtable, None, None


class CrossEntropy(Function):
    """Losses of rows of logits. Backward goes over the logits again instead of keeping a gradient that may not be asked for."""

    @staticmethod
    def forward(ctx, logits, targets, weight, settings):
        logits = logits.contiguous()
        losses = _losses(logits, settings)
        ops["cross_entropy_forward"](logits, targets, weight, losses.view(-1), None, **settings)
        ctx.save_for_backward(logits, weight, *targets.values())
        ctx.names, ctx.settings = list(targets), settings
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx, dlosses):
        logits, weight, *targets = ctx.saved_tensors
        dlogits, losses = torch.empty_like(logits), _losses(logits, ctx.settings)
        targets, dlosses = dict(zip(ctx.names, targets)), dlosses.to(losses.dtype).contiguous().view(-1)
        ops["cross_entropy_forward_backward"](logits, targets, weight, dlosses, losses.view(-1), dlogits, None, 1.0, **ctx.settings)
        return dlogits, None, None, None


def _losses(logits, settings):
    shape = logits.shape[:1] if settings["reduction"] == "none" else ()
    return torch.empty(shape, dtype=real(logits.dtype), device=logits.device)


class MeanSquaredError(Function):
    """The mean of squared differences. Loss and gradient are one pass each, as those of `CrossEntropy` are."""

    @staticmethod
    def forward(ctx, predictions, targets):
        predictions, targets = predictions.contiguous(), targets.contiguous()
        loss = torch.empty((), dtype=real(predictions.dtype), device=predictions.device)
        ops["mean_squared_error_forward"](predictions, targets, loss.view(1))
        ctx.save_for_backward(predictions, targets)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss):
        predictions, targets = ctx.saved_tensors
        loss, gradient = torch.empty_like(dloss), torch.empty_like(predictions)
        ops["mean_squared_error_forward_backward"](predictions, targets, dloss.view(1), loss.view(1), gradient, 1.0, False)
        return gradient, -gradient if ctx.needs_input_grad[1] else None


class DiscriminatorLoss(Function):
    """The loss of real and of generated logits, and a summary that has no gradient."""

    @staticmethod
    def forward(ctx, real_logits, generated_logits, form):
        real_logits, generated_logits = real_logits.contiguous(), generated_logits.contiguous()
        summary = torch.empty(4, dtype=real(real_logits.dtype), device=real_logits.device)
        ops["gan_loss_discriminator"](real_logits, generated_logits, None, summary, None, None, 1.0, form)
        ctx.save_for_backward(real_logits, generated_logits)
        ctx.form = form
        ctx.mark_non_differentiable(summary)
        return summary[0] + summary[1], summary

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss, _):
        summary = torch.empty(4, dtype=dloss.dtype, device=dloss.device)
        gradients = [torch.empty_like(x) if needed else None for x, needed in zip(ctx.saved_tensors, ctx.needs_input_grad)]
        ops["gan_loss_discriminator"](*ctx.saved_tensors, dloss.view(1), summary, *gradients, 1.0, ctx.form)
        return (*gradients, None)


class GeneratorLoss(Function):
    """The generator's loss, and a summary that has no gradient."""

    @staticmethod
    def forward(ctx, logits, form):
        logits = logits.contiguous()
        summary = torch.empty(2, dtype=real(logits.dtype), device=logits.device)
        ops["gan_loss_generator"](logits, None, summary, None, 1.0, form)
        ctx.save_for_backward(logits)
        ctx.form = form
        ctx.mark_non_differentiable(summary)
        return summary[0].clone(), summary

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss, _):
        (logits,) = ctx.saved_tensors
        gradient, summary = torch.empty_like(logits), torch.empty(2, dtype=dloss.dtype, device=dloss.device)
        ops["gan_loss_generator"](logits, dloss.view(1), summary, gradient, 1.0, ctx.form)
        return gradient, None


class SpectralNorm(Function):
    """A weight [out, ...] over its largest singular value. u and v move on where there are iterations, and count as constants."""

    @staticmethod
    def forward(ctx, weight, u, v, iterations, epsilon):
        weight = weight.contiguous()
        # Norms of half types are calculated with as floats.
        kept = [x.to(real(weight.dtype)).contiguous() for x in (u, v)]
        y, sigma = torch.empty_like(weight), torch.empty(1, dtype=kept[0].dtype, device=weight.device)
        if iterations == 0:
            ops["spectral_norm_inference"](weight, *kept, sigma, y)
        else:
            ops["spectral_norm_forward"](weight, *kept, sigma, y, more_iterations=iterations - 1, epsilon=epsilon)
            for state, moved in zip((u, v), kept):
                if state is not moved:
                    state.copy_(moved)
        # The next call moves u and v on, perhaps ahead of this one's backward.
        ctx.save_for_backward(weight, *(moved.clone() if moved is state else moved for state, moved in zip((u, v), kept)), sigma)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        weight, u, v, sigma = ctx.saved_tensors
        dweight = torch.empty_like(weight)
        ops["spectral_norm_backward"](weight, u, v, sigma, dy.contiguous(), dweight)
        return dweight, None, None, None, None


class MinibatchDeviation(Function):
    """x and the deviation within sets of its batch as one more channel."""

    @staticmethod
    def forward(ctx, x, group_size, epsilon):
        ctx.format = format_of(x)
        x = dense(x, ctx.format)
        ctx.group_size, ctx.options = group_size, {"epsilon": epsilon, "layout": layout(ctx.format)}
        y = torch.empty((x.shape[0], x.shape[1] + 1, *x.shape[2:]), dtype=x.dtype, device=x.device, memory_format=ctx.format)
        ops["minibatch_deviation_forward"](rows(ctx, x), rows(ctx, y), group_size, **ctx.options)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        dx = torch.empty_like(x)
        ops["minibatch_deviation_backward"](rows(ctx, x), rows(ctx, dense(dy, ctx.format)), rows(ctx, dx), ctx.group_size, **ctx.options)
        return dx, None, None


class DifferentiableAugment(Function):
    """Images augmented by numbers that backward draws again."""

    @staticmethod
    def forward(ctx, x, sample_ids, probability, settings):
        ctx.format = format_of(x)
        x = dense(x, ctx.format)
        y = torch.empty_like(x)
        ctx.settings = {**settings, "layout": layout(ctx.format)}
        ops["differentiable_augment_forward"](rows(ctx, x), sample_ids, probability, rows(ctx, y), **ctx.settings)
        ctx.save_for_backward(sample_ids, None if probability is None else probability.clone())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dense(dy, ctx.format)
        dx = torch.empty_like(dy)
        ops["differentiable_augment_backward"](rows(ctx, dy), *ctx.saved_tensors, rows(ctx, dx), **ctx.settings)
        return dx, None, None, None


class BatchNorm(Function):
    """Batch normalization in training; `kind` is batch_norm, batch_norm_relu or batch_norm_add_relu."""

    @staticmethod
    def forward(ctx, x, residual, gamma, beta, mean, variance, kind, settings, options):
        ctx.format = format_of(x)
        x = dense(x, ctx.format)
        added = [] if residual is None else [rows(ctx, dense(residual, ctx.format))]
        y = torch.empty_like(x)
        statistics = torch.empty((3, x.shape[1]), dtype=real(x.dtype), device=x.device)
        options = {**options, "layout": layout(ctx.format)}
        ops[f"{kind}_forward"](rows(ctx, x), *added, gamma, beta, rows(ctx, y), statistics, mean, variance, **settings, **options)
        ctx.save_for_backward(x, gamma, beta, statistics, y if added else None)
        ctx.kind, ctx.settings, ctx.options = kind, settings, options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, gamma, beta, statistics, y = ctx.saved_tensors
        dy = dense(dy, ctx.format)
        dx = torch.empty_like(dy)
        dgamma = None if gamma is None else torch.empty_like(gamma)
        dbeta = None if beta is None else torch.empty_like(beta)
        dresidual = None if y is None else torch.empty_like(dy)
        settings = dict(ctx.settings)
        if y is not None:
            settings.pop("key")  # what was dropped is 0 in y
            inputs, results = [rows(ctx, x), rows(ctx, y), gamma], [rows(ctx, dx), rows(ctx, dresidual)]
        elif ctx.kind == "batch_norm":
            inputs, results = [rows(ctx, x), gamma], [rows(ctx, dx)]
        else:
            inputs, results = [rows(ctx, x), gamma, beta], [rows(ctx, dx)]
        ops[f"{ctx.kind}_backward"](*inputs, statistics, rows(ctx, dy), *results, dgamma, dbeta, **settings, **ctx.options)
        return dx, dresidual, dgamma, dbeta, None, None, None, None, None


def _maps(ctx, x, shape):
    """Room for maps of a shape as the library gives it, in the layout of x. No view: its user may write to it."""
    if ctx.format is not torch.contiguous_format:
        shape = (shape[0], shape[-1], *shape[1:-1])
    return torch.empty(tuple(shape), dtype=x.dtype, device=x.device, memory_format=ctx.format)


class Conv2d(Function):
    """A convolution, or with `name` conv2d_transpose the transposed one, in either layout."""

    @staticmethod
    def forward(ctx, x, weight, bias, name, output_padding, options):
        ctx.format = format_of(x)
        x, weight = dense(x, ctx.format), weight.contiguous(memory_format=ctx.format)
        options = {**options, "layout": layout(ctx.format)}
        extra = {} if output_padding is None else {"output_padding": output_padding}
        shape = ops[f"{name}_output_shape"](rows(ctx, x).shape, rows(ctx, weight).shape, **extra, **options)
        y = _maps(ctx, x, shape)
        ops[f"{name}_forward"](rows(ctx, x), rows(ctx, weight), bias, rows(ctx, y), **options)
        ctx.save_for_backward(x, weight)
        ctx.name, ctx.has_bias, ctx.options = name, bias is not None, options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        channels, dy = dy.shape[1], rows(ctx, dense(dy, ctx.format))
        dx = dweight = dbias = None
        if ctx.needs_input_grad[0]:
            dx = torch.empty_like(x)
            ops[f"{ctx.name}_backward_data"](rows(ctx, weight), dy, rows(ctx, dx), **ctx.options)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            dweight = torch.empty_like(weight)
            dbias = torch.empty(channels, dtype=dy.dtype, device=dy.device) if ctx.has_bias else None
            ops[f"{ctx.name}_backward_filter"](rows(ctx, x), dy, rows(ctx, dweight), dbias, **ctx.options)
        return dx, dweight, dbias, None, None, None


class Linear(Function):
    """y = x w^T + b over the last dimension."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        x, weight = x.contiguous(), weight.contiguous()
        y = torch.empty((*x.shape[:-1], weight.shape[0]), dtype=x.dtype, device=x.device)
        ops["linear_forward"](_matrix(x), weight, bias, _matrix(y))
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dweight = torch.empty_like(weight)
        dbias = torch.empty(weight.shape[0], dtype=weight.dtype, device=weight.device) if ctx.has_bias else None
        ops["linear_backward"](_matrix(x), weight, _matrix(dy.contiguous()), None if dx is None else _matrix(dx), dweight, dbias)
        return dx, dweight, dbias


class Activation(Function):
    """relu, leaky_relu, tanh or sigmoid, whose gradients are made of what came out."""

    @staticmethod
    def forward(ctx, x, name, inplace, settings):
        ctx.format, ctx.name, ctx.settings = format_of(x), name, settings
        given, y = target(ctx, x, inplace)
        ops[f"{name}_forward"](rows(ctx, given), rows(ctx, y), **settings)
        y = finished(x, y, inplace)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dense(dy, ctx.format)
        dx = torch.empty_like(dy)
        y = dense(ctx.saved_tensors[0], ctx.format)
        ops[f"{ctx.name}_backward"](rows(ctx, y), rows(ctx, dy), rows(ctx, dx), **ctx.settings)
        return dx, None, None, None


class NearestUpsample(Function):
    """Each row and each column of maps repeated."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.format, ctx.shape, ctx.factor = format_of(x), x.shape, factor
        x = dense(x, ctx.format)
        y = _maps(ctx, x, ops["nearest_upsample_output_shape"](rows(ctx, x).shape, factor, layout=layout(ctx.format)))
        ops["nearest_upsample_forward"](rows(ctx, x), rows(ctx, y), factor, layout=layout(ctx.format))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dx = torch.empty(ctx.shape, dtype=dy.dtype, device=dy.device, memory_format=ctx.format)
        ops["nearest_upsample_backward"](rows(ctx, dense(dy, ctx.format)), rows(ctx, dx), ctx.factor, layout=layout(ctx.format))
        return dx, None


class MaxPool2d(Function):
    """The largest element of each window, with an index of a byte for backward."""

    @staticmethod
    def forward(ctx, x, window, options):
        ctx.format = format_of(x)
        x = dense(x, ctx.format)
        options = {**options, "layout": layout(ctx.format)}
        shape = ops["max_pool2d_output_shape"](rows(ctx, x).shape, window, **options)
        y = _maps(ctx, x, shape)
        indices = torch.empty(shape, dtype=torch.uint8 if window[0] * window[1] <= 256 else torch.int32, device=x.device)
        ops["max_pool2d_forward"](rows(ctx, x), rows(ctx, y), indices, window, **options)
        ctx.save_for_backward(indices)
        ctx.shape, ctx.window, ctx.options = x.shape, window, options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dense(dy, ctx.format)
        dx = torch.empty(ctx.shape, dtype=dy.dtype, device=dy.device, memory_format=ctx.format)
        ops["max_pool2d_backward"](ctx.saved_tensors[0], rows(ctx, dy), rows(ctx, dx), ctx.window, **ctx.options)
        return dx, None, None


class AveragePool2d(Function):
    """The mean of each window, or with `window` None of the whole map."""

    @staticmethod
    def forward(ctx, x, window, options):
        ctx.format = format_of(x)
        x = dense(x, ctx.format)
        options = {**options, "layout": layout(ctx.format)}
        if window is None:
            y = torch.empty((*x.shape[:2], 1, 1), dtype=x.dtype, device=x.device)
            ops["average_pool2d_forward_global"](rows(ctx, x), y.view(x.shape[:2]), **options)
        else:
            y = _maps(ctx, x, ops["average_pool2d_output_shape"](rows(ctx, x).shape, window, **options))
            ops["average_pool2d_forward"](rows(ctx, x), rows(ctx, y), window, **options)
        ctx.shape, ctx.window, ctx.options = x.shape, window, options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dx = torch.empty(ctx.shape, dtype=dy.dtype, device=dy.device, memory_format=ctx.format)
        if ctx.window is None:
            ops["average_pool2d_backward_global"](dy.reshape(ctx.shape[:2]), rows(ctx, dx), **ctx.options)
        else:
            ops["average_pool2d_backward"](rows(ctx, dense(dy, ctx.format)), rows(ctx, dx), ctx.window, **ctx.options)
        return dx, None, None


class Affine(Function):
    """Images through matrices of normalized coordinates, as `affine_grid` and `grid_sample` do in two passes."""

    @staticmethod
    def forward(ctx, x, matrices, size, options):
        x, matrices = x.contiguous(), matrices.to(torch.float32).contiguous()
        y = torch.empty((x.shape[0], x.shape[1], *size), dtype=x.dtype, device=x.device)
        ops["affine_forward"](x, matrices, y, **options)
        ctx.save_for_backward(x, matrices)
        ctx.options = options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, matrices = ctx.saved_tensors
        dy, dx, dmatrices = dy.contiguous(), None, None
        if ctx.needs_input_grad[0]:
            dx = torch.empty_like(x)
            ops["affine_backward"](matrices, dy, dx, **ctx.options)
        if ctx.needs_input_grad[1]:
            dmatrices = torch.empty_like(matrices)
            ops["affine_backward_matrices"](x, matrices, dy, dmatrices, **ctx.options)
        return dx, dmatrices, None, None


_compile.leave_out(__name__)
