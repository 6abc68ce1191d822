"""PyTorch, for tests that want it: where it is not installed they are skipped.

KERNELS_TEST_TORCH_DEVICE=cuda, with PyTorch 2, has them make their tensors and layers on the GPU.
"""

import os
import unittest

try:
    import torch
except ImportError as error:
    raise unittest.SkipTest(f"PyTorch is not installed: {error}") from error

DEVICE = torch.device(os.environ.get("KERNELS_TEST_TORCH_DEVICE", "cpu"))
if DEVICE.type != "cpu":
    torch.set_default_device(DEVICE)

__all__ = ["DEVICE", "torch"]
