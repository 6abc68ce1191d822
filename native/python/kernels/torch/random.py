"""Keys of random ops: one for each call.

By default a key is drawn from PyTorch's own generator of the CPU: `torch.manual_seed` makes a run repeatable, `torch.random.fork_rng` and
`torch.utils.checkpoint` work as with PyTorch's own layers. `manual_seed` of this module gives the keys themselves instead, (seed, 0),
(seed, 1), ..., which are those of a program in C# or C that counts its offsets.
"""

import threading

import torch

from . import _compile

_lock = threading.Lock()
_counted = None  # the next (seed, offset), if keys are counted


def manual_seed(seed, offset=0):
    """From now on keys are (seed, offset), (seed, offset + 1), ...; None goes back to PyTorch's generator.

    Counted keys do not see what `torch.utils.checkpoint` restores: a recomputed layer would get another key than it had.
    """
    global _counted
    with _lock:
        _counted = None if seed is None else (int(seed) % 2**64, int(offset))


def next_key():
    """The key (seed, offset) of one call."""
    global _counted
    with _lock:
        if _counted is not None:
            key = _counted
            _counted = (key[0], key[1] + 1)
            return key
    return (int(torch.empty((), dtype=torch.int64, device="cpu").random_()), 0)


_compile.leave_out(__name__)
