"""Layers: what PyTorch has under its own names and arguments, then what it does not have."""

import torch
from torch import nn

from . import functional as F

__all__ = [
    "AdaptiveAvgPool2d", "AlphaDropout", "AttentionDropout", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "BatchNormAddReLU",
    "BatchNormReLU", "BiasDropoutResidual", "Conv2d", "ConvTranspose2d", "CrossEntropyLoss", "DiscriminatorLoss", "DropBlock1d",
    "DropBlock2d", "DropBlock3d", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "EmbeddingDropout", "GaussianDropout", "GaussianNoise",
    "GeneratorLoss", "LeakyReLU", "Linear", "MSELoss", "MaxPool2d", "MinibatchDeviation", "ReLU", "Sigmoid", "StochasticDepth", "Tanh",
    "Upsample", "UpsamplingNearest2d", "VariationalDropout",
]  # fmt: skip


# --- PyTorch's own --------------------------------------------------------------------------------------------------------


class Dropout(nn.Dropout):
    """Dropout whose mask is drawn again in backward, at the probability that is really applied."""

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(nn.Dropout1d):
    """Dropout of channels of (N, C, L)."""

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(nn.Dropout2d):
    """Dropout of channels of (N, C, H, W)."""

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(nn.Dropout3d):
    """Dropout of channels of (N, C, D, H, W)."""

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(nn.AlphaDropout):
    """Dropout for SELU networks."""

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """Cross-entropy with smoothing, z-loss and confidence penalty; loss and gradient each in one pass over the logits."""

    def __init__(
        self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0, *,
        smoothing="all_classes", z_loss=0.0, confidence_penalty=0.0, entropy_threshold=None,
    ):  # fmt: skip
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        self.added = {"smoothing": smoothing, "z_loss": z_loss}
        self.added |= {"confidence_penalty": confidence_penalty, "entropy_threshold": entropy_threshold}

    def forward(self, input, target, other_target=None, share=None):
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction, label_smoothing=self.label_smoothing,
            other_target=other_target, share=share, **self.added,
        )  # fmt: skip


class MSELoss(nn.MSELoss):
    """The mean of squared differences."""

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class _BatchNorm:
    """PyTorch's bookkeeping around this library's op; `lengths` leaves out padding."""

    _function = staticmethod(F.batch_norm)

    def forward(self, input, *residual, **settings):
        self._check_input_dim(input)
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if momentum is None else momentum
        is_training = self.training or self.running_mean is None
        kept = (self.running_mean, self.running_var) if not self.training or self.track_running_stats else (None, None)
        return self._function(input, *residual, *kept, self.weight, self.bias, is_training, momentum, self.eps, **settings)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """Batch normalization of (N, C) and (N, C, L)."""


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """Batch normalization of (N, C, H, W)."""


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    """Batch normalization of (N, C, D, H, W)."""


class Conv2d(nn.Conv2d):
    """Convolution, deterministic in both directions."""

    def _conv_forward(self, input, weight, bias):
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution."""

    def forward(self, input, output_size=None):
        # PyTorch works out the padding that gives the size asked for; its signature changed with the dimensions it takes.
        spatial = [2] if "num_spatial_dims" in nn.ConvTranspose2d._output_padding.__code__.co_varnames else []
        more = self._output_padding(
            input, output_size, list(self.stride), list(self.padding), list(self.kernel_size), *spatial, list(self.dilation)
        )
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)


class Linear(nn.Linear):
    """x w^T + b."""

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)


class ReLU(nn.ReLU):
    """max(x, 0)."""

    def forward(self, input):
        return F.relu(input, self.inplace)


class LeakyReLU(nn.LeakyReLU):
    """x where x > 0, else a slope times x."""

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class Tanh(nn.Tanh):
    """The hyperbolic tangent."""

    def forward(self, input):
        return F.tanh(input)


class Sigmoid(nn.Sigmoid):
    """1 / (1 + e^-x)."""

    def forward(self, input):
        return F.sigmoid(input)


class Upsample(nn.Upsample):
    """Maps made larger, nearest ones by integers in this library."""

    def forward(self, input):
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, recompute_scale_factor=self.recompute_scale_factor
        )


class UpsamplingNearest2d(Upsample, nn.UpsamplingNearest2d):
    """Each row and each column of maps repeated."""


class MaxPool2d(nn.MaxPool2d):
    """The largest element of each window."""

    def forward(self, input):
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode, return_indices=self.return_indices
        )


class AvgPool2d(nn.AvgPool2d):
    """The mean of each window."""

    def forward(self, input):
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override
        )


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """The mean of whole maps."""

    def forward(self, input):
        return F.adaptive_avg_pool2d(input, self.output_size)


# --- What PyTorch does not have -------------------------------------------------------------------------------------------


class _Dropout(nn.Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"a drop probability lies in [0, 1]; this is {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class GaussianDropout(_Dropout):
    """Multiplies by normal numbers of mean 1 and the variance p / (1 - p) of dropout."""

    def forward(self, input):
        return F.gaussian_dropout(input, self.p, self.training, self.inplace)


class GaussianNoise(nn.Module):
    """Adds normal numbers."""

    def __init__(self, std=0.1):
        super().__init__()
        self.std = std

    def forward(self, input):
        return F.gaussian_noise(input, self.std, self.training)

    def extra_repr(self):
        return f"std={self.std}"


class VariationalDropout(_Dropout):
    """One mask for all steps of a sequence: (L, N, H), or (N, L, H) with `batch_first`."""

    def __init__(self, p=0.5, inplace=False, batch_first=False):
        super().__init__(p, inplace)
        self.batch_first = batch_first

    def forward(self, input):
        return F.variational_dropout(input, self.p, self.training, self.inplace, self.batch_first)


class _DropBlock(_Dropout):
    """Blocks of maps, with torchvision's arguments. Rate "exact" drops p of the cells, "paper" what the published formula does."""

    def __init__(self, p, block_size, inplace=False, *, rate="exact", normalization="batch", shared_channels=False):
        super().__init__(p, inplace)
        self.block_size, self.settings = block_size, {"rate": rate, "normalization": normalization, "shared_channels": shared_channels}

    def forward(self, input):
        if input.dim() != self._dimensions:
            raise ValueError(f"{type(self).__name__} takes {self._dimensions} dimensions, not {input.dim()}")
        return F.drop_block(input, self.p, self.block_size, self.training, self.inplace, **self.settings)

    def extra_repr(self):
        return f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}"


class DropBlock1d(_DropBlock):
    """DropBlock on (N, C, L)."""

    _dimensions = 3


class DropBlock2d(_DropBlock):
    """DropBlock on (N, C, H, W)."""

    _dimensions = 4


class DropBlock3d(_DropBlock):
    """DropBlock on (N, C, D, H, W)."""

    _dimensions = 5


class StochasticDepth(_Dropout):
    """Stochastic depth with torchvision's arguments. Given a residual, adds it in the same pass, with a ReLU if `relu` is set."""

    def __init__(self, p, mode="row", *, relu=False):
        super().__init__(p)
        self.mode, self.relu = mode, relu

    def forward(self, input, residual=None):
        return F.stochastic_depth(input, self.p, self.mode, self.training, residual=residual, relu=self.relu)

    def extra_repr(self):
        return f"p={self.p}, mode={self.mode}, relu={self.relu}"


class BiasDropoutResidual(_Dropout):
    """residual + dropout(input + bias), rows dropped with `row_p` besides, in one pass."""

    def __init__(self, features, p=0.5, row_p=0.0, bias=True, device=None, dtype=None):
        super().__init__(p)
        self.row_p = row_p
        self.bias = nn.Parameter(torch.zeros(features, device=device, dtype=dtype)) if bias else None

    def forward(self, input, residual):
        return F.bias_dropout_residual(input, self.bias, residual, self.p, self.training, row_p=self.row_p)


class AttentionDropout(_Dropout):
    """Softmax of scores, their mask and dropout in one pass."""

    def __init__(self, p=0.0, causal=False):
        super().__init__(p)
        self.causal = causal

    def forward(self, scores, mask=None, key_lengths=None, scale=1.0):
        return F.attention_dropout(
            scores, self.p, self.training, mask=mask, key_lengths=key_lengths, causal=self.causal, scale=scale
        )


class EmbeddingDropout(nn.Embedding):
    """An embedding of which whole rows are dropped: AWD-LSTM's, Gal and Ghahramani's, or one decision for each position."""

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, *, p=0.1, scope="batch", device=None, dtype=None):
        super().__init__(num_embeddings, embedding_dim, padding_idx, device=device, dtype=dtype)
        self.p, self.scope = p, scope

    def forward(self, input):
        return F.embedding_dropout(input, self.weight, self.p, self.training, padding_idx=self.padding_idx, scope=self.scope)

    def extra_repr(self):
        return f"{super().extra_repr()}, p={self.p}, scope={self.scope}"


class _AnyBatchNorm(_BatchNorm, nn.modules.batchnorm._BatchNorm):
    """Of two to five dimensions, with dropout of what comes out."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, p=0.0, device=None, dtype=None):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype)
        self.p = p

    def _check_input_dim(self, input):
        if not 2 <= input.dim() <= 5:
            raise ValueError(f"two to five dimensions are expected, not {input.dim()}")


class DiscriminatorLoss(nn.Module):
    """A GAN discriminator's loss of real and of generated logits: "non_saturating" (binary cross-entropy) or "hinge"."""

    _function = staticmethod(F.discriminator_loss)

    def __init__(self, form="non_saturating"):
        super().__init__()
        if form not in ("non_saturating", "hinge"):
            raise ValueError(f"the form is 'non_saturating' or 'hinge', not '{form}'")
        self.form = form

    def forward(self, *logits, return_summary=False):
        return self._function(*logits, self.form, return_summary=return_summary)

    def extra_repr(self):
        return f"form={self.form}"


class GeneratorLoss(DiscriminatorLoss):
    """A GAN generator's loss of the logits of what it made."""

    _function = staticmethod(F.generator_loss)


class MinibatchDeviation(nn.Module):
    """The deviation within sets of a batch as one more channel, so that a discriminator sees images that are alike."""

    def __init__(self, group_size=4, eps=1e-8):
        super().__init__()
        self.group_size, self.eps = group_size, eps

    def forward(self, input):
        return F.minibatch_deviation(input, self.group_size, self.eps)

    def extra_repr(self):
        return f"group_size={self.group_size}, eps={self.eps}"


class BatchNormReLU(_AnyBatchNorm):
    """dropout(relu(batch_norm(x))) in one pass."""

    _function = staticmethod(F.batch_norm_relu)

    def forward(self, input, **settings):
        return super().forward(input, p=self.p, **settings)


class BatchNormAddReLU(_AnyBatchNorm):
    """dropout(relu(batch_norm(x) + residual)) in one pass."""

    _function = staticmethod(F.batch_norm_add_relu)

    def forward(self, input, residual, **settings):
        return super().forward(input, residual, p=self.p, **settings)
