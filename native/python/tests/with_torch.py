"""PyTorch, for tests that want it: where it is not installed they are skipped."""

import unittest

try:
    import torch
except ImportError as error:
    raise unittest.SkipTest(f"PyTorch is not installed: {error}") from error

__all__ = ["torch"]
