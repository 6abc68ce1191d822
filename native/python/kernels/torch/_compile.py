"""Keeps torch.compile out of this package: each call of the library breaks its graph, and what the package does for it is not compiled.

`torch.compiler.disable` would do that too, but importing what it needs takes seconds, and most programs compile nothing.
"""

import types

try:
    from torch._C._dynamo.eval_frame import skip_code
except ImportError:  # PyTorch 1
    skip_code = None


def leave_out(*modules):
    """Frames of all functions of the modules run as they are."""
    if skip_code is None:
        return
    for module in modules:
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) != module.__name__:
                continue
            members = [value, *(vars(value).values() if isinstance(value, type) else ())]
            for member in members:
                function = getattr(member, "__func__", member)
                if isinstance(function, types.FunctionType):
                    skip_code(function.__code__)


def break_at(module):
    """Calls of the module's functions are not looked into."""
    leave_out(module)
    for value in vars(module).values():
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
            value._torchdynamo_disable = True
