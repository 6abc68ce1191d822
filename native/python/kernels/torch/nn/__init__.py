"""`torch.nn` with this library's layers in place of PyTorch's: `from kernels.torch import nn`.

Classes have PyTorch's names, arguments and parameters, so that a state of one loads into the other. What is not here is PyTorch's own.
"""

import torch.nn as _torch

from . import functional, utils
from .modules import *  # noqa: F403


def __getattr__(name):
    return getattr(_torch, name)
