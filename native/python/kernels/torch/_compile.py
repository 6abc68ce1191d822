"""Keeps torch.compile out of this package: each call of the library breaks its graph, and what the package does for it is not compiled.

What a program or PyTorch calls lies behind `torch._dynamo.disable`: the compiler looks neither into such a call nor into any frame below.
Marking single frames to be skipped is not enough, as a call that is traced is looked into all the same, and so is what a frame calls.
"""

import sys
import types

import torch

if hasattr(torch, "compile"):
    import torch._dynamo  # half a second, which PyTorch's own optimizers take as well


def disable(function):
    """The function as torch.compile takes it: as it is."""
    if not hasattr(torch, "compile"):  # PyTorch 1
        return function
    disabled = torch._dynamo.disable(function)
    # By it torch.compile(optimizer.step) gets at what lies behind, in PyTorch 2.6 without its optimizer.
    getattr(disabled, "__dict__", {}).pop("_torchdynamo_orig_callable", None)
    return disabled


_CALLED_BY_PYTORCH = (torch.autograd.Function, torch.nn.Module, torch.optim.Optimizer)


def leave_out(name):
    """For the end of a module: its public functions, and the public methods of its classes that PyTorch calls, are not looked into."""
    module = sys.modules[name]
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == name]
    for owner in (module, *(value for value in own if isinstance(value, type) and issubclass(value, _CALLED_BY_PYTORCH))):
        for attribute, value in list(vars(owner).items()):
            function = value.__func__ if isinstance(value, staticmethod) else value
            if not isinstance(function, types.FunctionType) or function.__module__ != name or attribute.startswith("_"):
                continue
            disabled = disable(function)
            setattr(owner, attribute, staticmethod(disabled) if isinstance(value, staticmethod) else disabled)
