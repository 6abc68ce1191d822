"""torchvision's transforms on batches: every image of a batch draws its own numbers, in one pass over the batch.

Names and arguments are torchvision's. Images are (N, C, H, W) or (C, H, W), of bytes or floats, in rows or with channels last. Floats stay
what they are; bytes become float32 in [0, 1], or the `dtype` asked for. What a sample becomes depends on the key and the sample's number
alone, which is its place in the batch unless `sample_ids` gives it: `transform(images, sample_ids=numbers, key=(seed, epoch))` repeats an
epoch whatever the batches. Only `RandomErasing`, `Cutout`, `DifferentiableAugment`, `MixUp` and `CutMix` have gradients, and
`kernels.torch.nn.functional.affine`.
"""

import torch

from . import _autograd, _compile, random
from ._autograd import ops
from ._tensors import dense, format_of, integers, layout, real, rows
from .nn import functional as F

__all__ = [
    "Augment", "ColorJitter", "CutMix", "Cutout", "DifferentiableAugment", "MixUp", "Normalize", "RandAugment", "RandomAdjustSharpness",
    "RandomAutocontrast", "RandomCrop", "RandomEqualize", "RandomErasing", "RandomHorizontalFlip", "RandomPosterize", "RandomResizedCrop",
    "RandomRotation", "RandomSolarize", "RandomVerticalFlip", "TrivialAugmentWide",
]  # fmt: skip


def _around(value, middle, least=None):
    """torchvision's bounds: a number is a distance from the middle."""
    if isinstance(value, (tuple, list)):
        return (float(value[0]), float(value[1]))
    low = middle - value
    return (float(low if least is None else max(least, low)), float(middle + value))


def _pair(size):
    return tuple(int(side) for side in size) if isinstance(size, (tuple, list)) else (int(size), int(size))


class _Transform(torch.nn.Module):
    """Calls an op with what `settings` gives; `options` are those of reading and normalizing images."""

    op, has_key, size = None, True, None

    def __init__(self, settings, dtype=None, **options):
        super().__init__()
        self.settings, self.dtype, self.options = settings, dtype, options

    def forward(self, images, sample_ids=None, *, key=None):
        if images.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{type(self).__name__} has no gradient; detach() the images")
        x = images if images.dim() == 4 else images.unsqueeze(0)
        self.format = format_of(x)
        x = dense(x, self.format)
        dtype = self.dtype or (torch.float32 if x.dtype is torch.uint8 else x.dtype)
        y = torch.empty((*x.shape[:2], *(self.size or x.shape[2:])), dtype=dtype, device=x.device, memory_format=self.format)
        settings = {**self.settings, **self.options, "layout": layout(self.format)}
        if self.has_key:
            settings["key"] = random.next_key() if key is None else key
            settings["sample_ids"] = sample_ids
        ops[self.op](rows(self, x), y=rows(self, y), **settings)
        return y if images.dim() == 4 else y.squeeze(0)

    def extra_repr(self):
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())


class RandomHorizontalFlip(_Transform):
    """Left and right change places with probability p."""

    op = "flip_forward"

    def __init__(self, p=0.5):
        super().__init__({"horizontal_probability": float(p), "vertical_probability": 0.0})


class RandomVerticalFlip(_Transform):
    """Top and bottom change places with probability p."""

    op = "flip_forward"

    def __init__(self, p=0.5):
        super().__init__({"horizontal_probability": 0.0, "vertical_probability": float(p)})


class RandomCrop(_Transform):
    """A window at a random place of the padded image."""

    op = "crop_forward"

    def __init__(self, size, padding=None, fill=0, padding_mode="constant"):
        modes = {"constant": {}, "edge": {"border": "edge"}, "symmetric": {"border": "reflect"}}
        modes["reflect"] = {"border": "reflect", "align_corners": True}  # the outermost pixels are not repeated
        left, top, right, bottom = self._sides(0 if padding is None else padding)
        super().__init__({"padding": (top, bottom, left, right)}, fill=float(fill), **modes[padding_mode])
        self.size = _pair(size)

    @staticmethod
    def _sides(padding):
        if not isinstance(padding, (tuple, list)):
            return (int(padding),) * 4
        return tuple(padding) * 2 if len(padding) == 2 else tuple(padding)


class RandomResizedCrop(_Transform):
    """A window of random area and aspect, stretched to one size."""

    op = "crop_resized"

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), interpolation="bilinear"):
        super().__init__({"area": tuple(scale), "aspect": tuple(ratio)}, interpolation=interpolation)
        self.size = _pair(size)


class RandomRotation(_Transform):
    """Turned about its middle, counterclockwise."""

    op = "rotate_forward"

    def __init__(self, degrees, interpolation="nearest", fill=0):
        super().__init__({"degrees": _around(degrees, 0)}, interpolation=interpolation, fill=float(fill))


class ColorJitter(_Transform):
    """Brightness, contrast, saturation and hue, in a random order."""

    op = "color_jitter_forward"

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        bounds = {name: _around(value, 1, least=0) for name, value in factors.items()}
        super().__init__({**bounds, "hue": _around(hue, 0), "shuffles": True})


class RandomPosterize(_Transform):
    """Only the upper bits of eight are left."""

    op = "posterize_forward"

    def __init__(self, bits, p=0.5):
        super().__init__({"bits": int(bits), "probability": float(p)})


class RandomSolarize(_Transform):
    """Values from the threshold on are inverted; it is a level of 255, or of 1 if it is a fraction."""

    op = "solarize_forward"

    def __init__(self, threshold, p=0.5):
        super().__init__({"threshold": threshold * 255.0 if 0 < threshold <= 1 else float(threshold), "probability": float(p)})


class RandomAdjustSharpness(_Transform):
    """Blurred by a factor below 1, sharpened by one above."""

    op = "sharpness_forward"

    def __init__(self, sharpness_factor, p=0.5):
        super().__init__({"factor": float(sharpness_factor), "probability": float(p)})


class RandomAutocontrast(_Transform):
    """Each channel is stretched from black to white."""

    op = "autocontrast_forward"

    def __init__(self, p=0.5):
        super().__init__({"probability": float(p)})


class RandomEqualize(_Transform):
    """Each channel's levels become equally likely."""

    op = "equalize_forward"

    def __init__(self, p=0.5):
        super().__init__({"probability": float(p)})


class Normalize(_Transform):
    """(x - mean) / std for each channel; takes bytes as they come from files."""

    op, has_key = "normalize_forward", False

    def __init__(self, mean, std, dtype=None):
        super().__init__({}, dtype, mean=list(mean), deviation=list(std))


class RandAugment(_Transform):
    """A random list of ops for each image (Cubuk et al., 2020)."""

    op = "auto_augment_forward"

    def __init__(self, num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation="nearest", fill=0):
        policy = {"ops": num_ops, "magnitude": magnitude, "bins": num_magnitude_bins, "space": "rand_augment"}
        super().__init__({"policy": policy}, interpolation=interpolation, fill=float(fill))


class TrivialAugmentWide(_Transform):
    """One op of any magnitude for each image (Müller and Hutter, 2021)."""

    op = "auto_augment_forward"

    def __init__(self, num_magnitude_bins=31, interpolation="nearest", fill=0):
        policy = {"ops": 1, "magnitude": None, "bins": num_magnitude_bins, "space": "trivial_augment_wide"}
        super().__init__({"policy": policy}, interpolation=interpolation, fill=float(fill))


class Augment(_Transform):
    """All of a policy in one pass: `Augment(28, crop="window", padding=4, horizontal_flip=0.5, mean=[0.5], std=[0.25])`.

    Fields of the policy are those of `kernels_augment_policy`; see kernels/docs/augment.md for their order.
    """

    op = "augment_forward"

    def __init__(self, size=None, *, mean=None, std=None, dtype=None, interpolation="bilinear", fill=0.0, **policy):
        super().__init__({"policy": policy}, dtype, mean=mean, deviation=std, interpolation=interpolation, fill=float(fill))
        self.size = None if size is None else _pair(size)


class RandomErasing(torch.nn.Module):
    """A rectangle of each image becomes a constant, or normal numbers for value "random"."""

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0):
        super().__init__()
        self.p, self.scale, self.ratio, self.value = p, scale, ratio, value

    def forward(self, images, sample_ids=None, *, key=None):
        fill = {"noise": 1.0} if self.value == "random" else {"fill": self.value}
        x = images if images.dim() == 4 else images.unsqueeze(0)
        y = F.random_erase(x, self.scale, self.ratio, p=self.p, sample_ids=sample_ids, key=key, **fill)
        return y if images.dim() == 4 else y.squeeze(0)


class Cutout(torch.nn.Module):
    """Squares of each image become a constant."""

    def __init__(self, side, holes=1, fill=0.0, p=1.0):
        super().__init__()
        self.side, self.holes, self.fill, self.p = side, holes, fill, p

    def forward(self, images, sample_ids=None, *, key=None):
        x = images if images.dim() == 4 else images.unsqueeze(0)
        y = F.cutout(x, self.side, holes=self.holes, fill=self.fill, p=self.p, sample_ids=sample_ids, key=key)
        return y if images.dim() == 4 else y.squeeze(0)


class DifferentiableAugment(torch.nn.Module):
    """Colours, a shift and a box of zeros with a gradient, for real and generated images (DiffAugment; ADA with a tensor `p`)."""

    def __init__(self, brightness=0.5, saturation=1.0, contrast=0.5, translation=0.125, cutout=0.5, p=1.0):
        super().__init__()
        self.settings, self.p = {"brightness": brightness, "saturation": saturation, "contrast": contrast}, p
        self.settings |= {"translation": translation, "cutout": cutout}

    def forward(self, images, sample_ids=None, *, key=None):
        return F.differentiable_augment(images, **self.settings, p=self.p, sample_ids=sample_ids, key=key)

    def extra_repr(self):
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())


class _Mix(torch.nn.Module):
    """Mixes each image with a partner of its batch: `images, other_labels, share = mix(images, labels)`.

    `CrossEntropyLoss()(logits, labels, other_labels, share)` is the loss of what comes out.
    """

    def __init__(self, alpha=1.0, mode="sample", p=1.0):
        super().__init__()
        self.alpha, self.options = float(alpha), {"mode": mode, "skip_probability": 1.0 - p}

    def forward(self, images, labels, sample_ids=None, *, key=None):
        self.format = format_of(images)
        x, labels = dense(images, self.format), integers(labels)
        count, device = x.shape[0], x.device
        pairs, others = torch.empty((count, 2), dtype=torch.int32, device=device), torch.empty(count, dtype=torch.int32, device=device)
        shares = torch.empty(count, dtype=real(x.dtype), device=device)
        key = random.next_key() if key is None else key
        extra = self._draw(x, sample_ids, labels, pairs, others, shares, key)
        return _Mixed.apply(x, self.op, self.format, pairs, *extra), others, shares


class MixUp(_Mix):
    """The weighted mean of two images."""

    op = "mixup"

    def _draw(self, x, ids, labels, pairs, others, shares, key):
        ops["mixup_draw"](ids, labels, pairs, others, shares, self.alpha, key, **self.options)
        return [shares]


class CutMix(_Mix):
    """A box of each image comes from its partner."""

    op = "cutmix"

    def _draw(self, x, ids, labels, pairs, others, shares, key):
        boxes = torch.empty((x.shape[0], 4), dtype=torch.int32, device=x.device)
        ops["cutmix_draw"](ids, labels, pairs, others, shares, boxes, x.shape[2], x.shape[3], self.alpha, key, **self.options)
        return [boxes]


class _Mixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, op, memory_format, pairs, extra):
        ctx.format, ctx.op = memory_format, op
        ctx.save_for_backward(pairs, extra)
        y = torch.empty_like(x)
        settings = {"layout": layout(memory_format)} if op == "cutmix" else {}
        ops[f"{op}_forward"](rows(ctx, x), None, pairs, extra, rows(ctx, y), **settings)
        return y

    @staticmethod
    @_autograd.once_differentiable
    def backward(ctx, dy):
        dy = dense(dy, ctx.format)
        dx = torch.empty_like(dy)
        settings = {"layout": layout(ctx.format)} if ctx.op == "cutmix" else {}
        ops[f"{ctx.op}_backward"](rows(ctx, dy), *ctx.saved_tensors, rows(ctx, dx), **settings)
        return dx, None, None, None, None


_compile.leave_out(__name__)
