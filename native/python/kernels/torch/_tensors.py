"""PyTorch's tensors as the library's, without DLPack's detour, and the layouts that ops take as they lie in memory."""

import torch

from .. import _arrays
from . import _compile

_DTYPES = {
    torch.float32: "FLOAT32",
    torch.float16: "FLOAT16",
    torch.bfloat16: "BFLOAT16",
    torch.float64: "FLOAT64",
    torch.uint8: "UINT8",
    torch.bool: "UINT8",
    torch.int32: "INT32",
    torch.int64: "UINT64",  # sample numbers and keys, the same bits
}
_DTYPES = {dtype: int(_arrays.DType[name]) for dtype, name in _DTYPES.items()}
_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def _check_place(tensor):
    if tensor.layout is not torch.strided or tensor.device.type not in ("cpu", "cuda"):
        raise TypeError(f"a tensor of layout {tensor.layout} on '{tensor.device}'; the library takes dense ones on 'cpu' and 'cuda'")


def _describe(tensor):
    _check_place(tensor)
    if tensor.is_conj() or tensor.is_neg():
        raise TypeError("a lazy view of a tensor; resolve_conj() and resolve_neg() make it one of its own")
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        raise TypeError(f"a tensor of {tensor.dtype}; the library takes {', '.join(str(known) for known in _DTYPES)}")
    strides = None if tensor.is_contiguous() else tensor.stride()
    struct = _arrays.struct_of(tensor.data_ptr() or None, dtype, tensor.shape, strides)
    if tensor.is_cuda:
        stream = torch.cuda.current_stream(tensor.device).cuda_stream
        return _arrays.Array(struct, f"cuda:{tensor.device.index}", tensor, stream=stream)
    return _arrays.Array(struct, "cpu", tensor)


_arrays.adapters[torch.Tensor] = _describe
_arrays.adapters[torch.nn.Parameter] = _describe


def format_of(x):
    """How the tensor lies in memory: channels last where it is that, else rows; what is neither has to be copied."""
    last = _LAST.get(x.dim())
    if last is not None and not x.is_contiguous() and x.is_contiguous(memory_format=last):
        return last
    return torch.contiguous_format


def dense(x, memory_format=None):
    """The tensor, copied if it is not dense in the format."""
    _check_place(x)
    return x.contiguous(memory_format=format_of(x) if memory_format is None else memory_format)


def target(ctx, x, inplace):
    """The tensor as an op takes it, and where its result goes: in place into the same memory, by way of a copy if it is not dense."""
    if inplace:
        ctx.mark_dirty(x)
    x = dense(x, ctx.format)
    return x, x if inplace else torch.empty_like(x)


def finished(x, y, inplace):
    """What an op on `target`s of x returns."""
    if inplace and y is not x:
        x.copy_(y)
    return x if inplace else y


def rows(ctx, x):
    """A tensor that is dense in the format of `ctx`, as the library sees it: the same memory, the dimensions in their order there."""
    return x if ctx.format is torch.contiguous_format else x.movedim(1, -1)


def layout(memory_format):
    return "channels_first" if memory_format is torch.contiguous_format else "channels_last"


def real(dtype):
    """The type that the library calculates in."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def integers(x):
    """Labels and ids as the library takes them. Those beyond 32 bits are out of every range, and stay so."""
    if x.dtype is torch.int32:
        return x.contiguous()
    if x.dtype not in (torch.int64, torch.int16, torch.int8, torch.uint8):
        raise TypeError(f"labels and ids are integers, not {x.dtype}")
    bounds = torch.iinfo(torch.int32)
    return (x.clamp(bounds.min, bounds.max) if x.dtype is torch.int64 else x).to(torch.int32).contiguous()


def stream_of(device):
    """PyTorch's current stream of a device, as the library's."""
    if device.type != "cuda":
        return _arrays.devices.stream(device.type)
    current = torch.cuda.current_stream(device)
    return _arrays.devices.stream(str(current.device), current.cuda_stream)


def _wait(device):
    _arrays.check(_arrays.functions["kernels_stream_synchronize"](stream_of(device)))


@_compile.disable
def synchronize(device=None):
    """Waits for PyTorch's current stream of a device, by default of CUDA where there is one, and raises what bad data was met there.

    Only a kernel sees that a label or an id is out of range. On the CPU the call raises it. On CUDA, where calls do not wait, the result is
    NaN or zeros, and this says why: a `BadDataError`, once. PyTorch's own waits know nothing of it.
    """
    _wait(torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device is None else device))


def settle(x):
    """Raises bad data on the CPU, as PyTorch does there; on CUDA that would be to wait."""
    if not x.is_cuda:
        _wait(x.device)
