"""`torch.nn.utils` with spectral normalization by this library. What is not here is PyTorch's own."""

import sys

import torch.nn.utils as _torch

from .. import functional as F
from . import parametrizations

# The package has a function of the module's name.
_theirs = sys.modules["torch.nn.utils.spectral_norm"]


class _SpectralNorm(_theirs.SpectralNorm):
    """PyTorch's bookkeeping around this library's op."""

    def compute_weight(self, module, do_power_iteration):
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        if weight.dim() < 2:
            return super().compute_weight(module, do_power_iteration)
        # Here a step moves v before u: the matrix is the other way round, and so are they.
        x = weight.movedim(self.dim, 0)
        y = F.spectral_norm(x.flatten(1).t(), v, u, self.n_power_iterations if do_power_iteration else 0, self.eps)
        return y.t().reshape(x.shape).movedim(0, self.dim)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Has a layer's weight divided by its largest singular value; with PyTorch's arguments, state and numbers."""
    module = _torch.spectral_norm(module, name, n_power_iterations, eps, dim)
    for hook in module._forward_pre_hooks.values():
        if type(hook) is _theirs.SpectralNorm and hook.name == name:
            hook.__class__ = _SpectralNorm
    return module


def __getattr__(name):
    return getattr(_torch, name)


__all__ = ["parametrizations", "spectral_norm"]
