"""`torch.nn.utils.parametrizations` with spectral normalization by this library. What is not here is PyTorch's own."""

import torch
import torch.nn.utils.parametrizations as _torch
from torch.nn.utils import parametrize

from .. import functional as F


class _SpectralNorm(_torch._SpectralNorm):
    """PyTorch's bookkeeping around this library's op."""

    def forward(self, weight):
        if weight.dim() < 2:
            return super().forward(weight)
        iterations = self.n_power_iterations if self.training else 0
        return F.spectral_norm(weight.movedim(self.dim, 0), self._u, self._v, iterations, self.eps).movedim(0, self.dim)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Has a layer's weight divided by its largest singular value; with PyTorch's arguments, state and numbers."""
    weight = getattr(module, name, None)
    if not isinstance(weight, torch.Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter or buffer '{name}'")
    if dim is None:
        dim = 1 if isinstance(module, (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)) else 0
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


def __getattr__(name):
    return getattr(_torch, name)


__all__ = ["spectral_norm"]
