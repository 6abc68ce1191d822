"""Regularization kernels for the CPU, CUDA and OpenCL: libkernels from Python, without a build step.

Every op of the library is a function here, under the name that `kernels.h` gives it: `dropout_forward`, `batch_norm_backward`,
`cross_entropy_forward_backward`. It takes anything that has the buffer protocol or `__dlpack__`: NumPy and CuPy arrays, PyTorch and JAX
tensors, `array.array`. Results are written into arrays of the caller. A key is a pair (seed, offset), enums are named, options are keyword
arguments:

    >>> import array, kernels
    >>> x, y = array.array("f", [1] * 8), array.array("f", [0] * 8)
    >>> kernels.dropout_forward(x, y, 0.5, (42, 0))
    >>> kernels.dropout_forward(x, y, drop_probability=0.5, key=(42, 0), scaling="original")

The CPU's work is done on return. On CUDA it is queued: on PyTorch's current stream for PyTorch's tensors, on the legacy default stream for
other libraries', or on the stream given as `stream`. `help(kernels.dropout_forward)` shows parameters and defaults. Memory of a device that
no other library serves is `kernels.empty(shape, dtype, "opencl:0")`; `kernels.copy` fills and reads it.

`kernels.torch` has PyTorch modules, functions with gradients, and optimizers over the same ops.
"""

import contextlib
import ctypes

from . import _arrays, _calls
from ._arrays import DType, Tensor, describe, empty, from_dlpack
from ._library import BadDataError, DeviceError, InvalidArgumentError, KernelsError, OutOfMemoryError, check, functions, path, table

__version__ = table.version
library_path = str(path)

_device_type, Stream = _calls.handles["kernels_device"], _calls.handles["kernels_stream"]
_ops = {name: function for name, function in _calls.made.items() if not name.startswith(("device_", "memory_", "tensor_"))}
globals().update(_ops)


class Device(_device_type):
    """A device by its id: "cpu", "cuda:0", "opencl:0"; by default CUDA, else an OpenCL GPU, else the CPU. It stays open."""

    def __init__(self, id=None):
        super().__init__(_arrays.devices.open(id))
        self._end.detach()
        self.device = self.get_info().id

    def close(self):
        """Does nothing: arrays on a device are those of one device, which all share."""

    def create_stream(self):
        """A stream of its own."""
        made = ctypes.c_void_p()
        check(functions["kernels_stream_create"](self._as_parameter_, ctypes.byref(made)))
        return Stream(made, self.device)

    def wrap_stream(self, native):
        """The stream over another library's, such as `torch.cuda.Stream.cuda_stream`."""
        made = ctypes.c_void_p()
        check(functions["kernels_stream_wrap"](self._as_parameter_, ctypes.c_void_p(native), ctypes.byref(made)))
        return Stream(made, self.device)


@contextlib.contextmanager
def capture(stream):
    """Records what the calls inside queue on the stream, and runs none of it.

    `with capture(stream) as graph: ...`, then `graph().launch(stream)`.
    """
    stream.begin_capture()
    recorded = []
    try:
        yield lambda: recorded[0]
    except BaseException:
        stream.abandon_capture()
        raise
    recorded.append(stream.end_capture())


def copy(source, destination, *, stream=None):
    """Copies an array into another of its type and length, on one device or from or to the CPU; waits for what comes to the CPU."""
    arrays = []
    for name, value in (("source", source), ("destination", destination)):
        try:
            arrays.append(describe(value))
        except (TypeError, InvalidArgumentError) as error:
            raise type(error)(f"kernels.copy: {name}: {error}") from None
    sizes, types = [array.size() for array in arrays], [DType(array.struct.dtype) for array in arrays]
    if None in sizes or sizes[0] != sizes[1] or types[0] != types[1]:
        shown = [f"{list(one.struct.shape[: one.struct.rank])} of {kind.name.lower()}" for one, kind in zip(arrays, types)]
        raise InvalidArgumentError(f"kernels.copy: {shown[0]} does not go into {shown[1]}: dense arrays of one type and length do")
    if not arrays[1].writable:
        raise InvalidArgumentError("kernels.copy: destination is read-only")
    away = {array.device for array in arrays} - {"cpu"} or {"cpu"}
    if len(away) > 1:
        raise InvalidArgumentError(f"kernels.copy: source is on {arrays[0].device}, destination on {arrays[1].device}")
    device, native = away.pop(), next((array.stream for array in arrays if array.stream is not None), None)
    queue = _calls.stream_for("kernels.copy", stream, device, native)
    (come, go), structs = (array.device == "cpu" for array in arrays), [ctypes.byref(array.struct) for array in arrays]
    if come == go:
        check(functions["kernels_stream_copy"](queue, *structs))
    elif come:
        check(functions["kernels_stream_upload"](queue, arrays[0].address(), structs[1]))
    else:
        check(functions["kernels_stream_download"](queue, structs[0], arrays[1].address()))


def devices():
    """What this machine has, and why something is missing."""
    return [_calls.made["device_describe"](index) for index in range(_calls.made["device_count"]())]


__all__ = [
    "BadDataError", "DType", "Device", "DeviceError", "InvalidArgumentError", "KernelsError", "OutOfMemoryError", "Stream", "Tensor",
    "capture", "copy", "devices", "empty", "from_dlpack", "library_path", *_ops,
]  # fmt: skip
