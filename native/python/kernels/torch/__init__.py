"""PyTorch on this library: layers, functions, optimizers and augmentation in the place of PyTorch's own.

    from torch import nn, optim             # before
    from kernels.torch import nn, optim     # after

Names and arguments are PyTorch's (torchvision's for DropBlock, stochastic depth and `transforms`); what is not replaced is PyTorch's own.
Seeds stay: each random call takes a key from PyTorch's generator, see `kernels.torch.random`. Tensors lie on the CPU or on CUDA, where work
goes to PyTorch's current stream. Gradients are exact and deterministic; where a gradient has none of its own, asking for it is an error.
"""

from .. import _calls
from . import _compile, nn, optim, transforms
from ._tensors import synchronize
from .random import manual_seed, next_key

_calls.Function.__call__ = _compile.disable(_calls.Function.__call__)  # every op of `kernels`

__all__ = ["manual_seed", "next_key", "nn", "optim", "synchronize", "transforms"]
