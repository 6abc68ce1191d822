"""Arrays of any library as the library's tensors, and tensors of this library for others.

What has the buffer protocol or `__dlpack__` is taken as it is: nothing is copied, nothing is kept after a call. A capsule of DLPack is
looked at and left unconsumed, so that its own destructor gives the memory back; only `from_dlpack` consumes one.
"""

import atexit
import ctypes
import math
import weakref

from ._library import InvalidArgumentError, check, functions, is_forked, table

tensor_struct = table.struct("kernels_tensor")
DType = table.enums["kernels_dtype"]

_CPU, _CUDA, _CUDA_HOST, _OPENCL, _CUDA_MANAGED = 1, 2, 3, 4, 13
_READ_ONLY = 1  # a flag of the versioned structure
_SIZES = {"FLOAT32": 4, "FLOAT16": 2, "BFLOAT16": 2, "FLOAT64": 8, "UINT8": 1, "INT32": 4, "UINT32": 4, "UINT64": 8}

# Characters of the struct module; a bool is a byte. Signed 64-bit numbers are taken as the unsigned ones of the same bits: sample numbers
# and keys of libraries that have no unsigned ones.
_FORMATS = {"f": "FLOAT32", "e": "FLOAT16", "d": "FLOAT64", "B": "UINT8", "?": "UINT8", "i": "INT32", "I": "UINT32"}
_WORDS = {"l": ctypes.sizeof(ctypes.c_long), "q": 8}
_TYPESTR = {"FLOAT32": "<f4", "FLOAT16": "<f2", "FLOAT64": "<f8", "UINT8": "|u1", "INT32": "<i4", "UINT32": "<u4", "UINT64": "<u8"}


class Array:
    """An array as the library's structure, with what must live as long as it is used."""

    __slots__ = ("struct", "device", "stream", "writable", "kept")

    def __init__(self, struct, device, kept, writable=True, stream=None):
        self.struct, self.device, self.kept, self.writable, self.stream = struct, device, kept, writable, stream

    def address(self):
        return (self.struct.data or 0) + self.struct.byte_offset

    def size(self):
        """Bytes of a dense array; None for one with other strides."""
        count, struct = 1, self.struct
        for axis in reversed(range(struct.rank)):
            if struct.strides and struct.shape[axis] != 1 and struct.strides[axis] != count:
                return None
            count *= struct.shape[axis]
        return count * _SIZES[DType(struct.dtype).name]


def struct_of(address, dtype, shape, strides=None, memory=None):
    """A `kernels_tensor`; it keeps its shape and strides alive, not the memory."""
    rank = len(shape)
    sizes = (ctypes.c_int64 * rank)(*shape)
    steps = None if strides is None else (ctypes.c_int64 * rank)(*strides)
    made = tensor_struct(data=address, dtype=dtype, rank=rank, shape=sizes, memory=memory)
    if steps is not None:
        made.strides = steps
    return made


# --- The buffer protocol --------------------------------------------------------------------------------------------------


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
        ("internal", ctypes.c_void_p),
    ]


class _View:
    """A view that is released with this object."""

    _STRIDED_WITH_FORMAT = 0x18 | 0x04

    def __init__(self, array):
        self.buffer = _PyBuffer()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(array), ctypes.byref(self.buffer), self._STRIDED_WITH_FORMAT)

    def __del__(self):
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(self.buffer))  # of one that could not be had it releases nothing


def _format(text):
    code = text.lstrip("@=<|")
    if code.lower() in _WORDS:
        size = _WORDS[code.lower()]
        return "UINT64" if size == 8 else {"i": "INT32", "I": "UINT32"}["i" if code.islower() else "I"]
    return _FORMATS.get(code)


def _from_buffer(array):
    try:
        view = _View(array)
    except (BufferError, TypeError, ValueError):  # ValueError: NumPy has types that have no format
        return None
    buffer = view.buffer
    text = (buffer.format or b"B").decode()
    name = _format(text)
    if name is None:
        raise InvalidArgumentError(f"elements of format '{text}' ({type(array).__name__}) are none of {', '.join(_SIZES)}")
    shape = buffer.shape[: buffer.ndim] if buffer.ndim else []
    strides = None
    if buffer.ndim and buffer.strides:  # arrays of ctypes are dense and have none
        steps = buffer.strides[: buffer.ndim]
        if any(step % buffer.itemsize for step in steps):
            raise InvalidArgumentError(f"strides of {tuple(steps)} bytes are not whole elements of {buffer.itemsize} bytes")
        strides = [step // buffer.itemsize for step in steps]
    return Array(struct_of(buffer.buf, DType[name], shape, strides), "cpu", (view, array), not buffer.readonly)


# --- DLPack ---------------------------------------------------------------------------------------------------------------


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("index", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


# Structures by the name of their capsule, and the name of one that was taken. A capsule keeps the address of its name.
_NAMES = {b"dltensor": (_Managed, b"used_dltensor"), b"dltensor_versioned": (_Versioned, b"used_dltensor_versioned")}
_EXPORTED = list(_NAMES)
_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_python = ctypes.pythonapi
_python.PyCapsule_GetName.argtypes, _python.PyCapsule_GetName.restype = [ctypes.py_object], ctypes.c_char_p
_python.PyCapsule_GetPointer.argtypes, _python.PyCapsule_GetPointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
_python.PyCapsule_SetName.argtypes, _python.PyCapsule_SetName.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_int
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_New.restype = ctypes.py_object


def _capsule(array, stream):
    """A capsule of the array, its name and what is in it."""
    extra = {} if stream is None else {"stream": stream}
    try:
        capsule = array.__dlpack__(max_version=(1, 0), **extra)
    except TypeError:  # from before there were versions
        capsule = array.__dlpack__(**extra)
    name = _python.PyCapsule_GetName(capsule)
    if name not in _NAMES:
        raise InvalidArgumentError(f"{type(array).__name__}.__dlpack__ gave a capsule '{(name or b'').decode()}', not one that is unused")
    address = _python.PyCapsule_GetPointer(capsule, name)
    managed = _NAMES[name][0].from_address(address)
    if isinstance(managed, _Versioned) and managed.major != 1:
        version = f"{managed.major}.{managed.minor}"
        raise InvalidArgumentError(f"{type(array).__name__} exports DLPack {version}; this package knows 1 and before")
    return capsule, name, address, managed


def _device_id(kind, index):
    if kind in (_CPU, _CUDA_HOST):
        return "cpu"
    if kind in (_CUDA, _CUDA_MANAGED):
        return f"cuda:{index}"
    if kind == _OPENCL:
        return f"opencl:{index}"
    raise InvalidArgumentError(f"DLPack's device type {int(kind)} is neither the CPU nor CUDA nor OpenCL")


def _from_dlpack(array):
    device = _device_id(*array.__dlpack_device__())
    # The legacy default stream is what a caller without streams means; the producer makes it wait for its own.
    stream = 1 if device.startswith("cuda") else None
    capsule, _, _, managed = _capsule(array, stream)
    struct = tensor_struct()
    check(functions["kernels_tensor_from_dlpack"](devices.open(device), ctypes.byref(managed.tensor), ctypes.byref(struct)))
    writable = not (isinstance(managed, _Versioned) and managed.flags & _READ_ONLY)
    return Array(struct, device, (capsule, array), writable, stream)


# --- Any array ------------------------------------------------------------------------------------------------------------

adapters = {}  # type: a function that makes an Array of its objects


def describe(array):
    """Any array as an `Array`."""
    kind = type(array)
    adapter = adapters.get(kind)
    if adapter is None:
        adapter = next((adapters[base] for base in kind.__mro__ if base in adapters), None) or _from_anything
        adapters[kind] = adapter
    return adapter(array)


def _from_anything(array):
    found = _from_buffer(array)
    if found is None and hasattr(array, "__dlpack__"):
        found = _from_dlpack(array)
    if found is None:
        raise TypeError(f"{type(array).__name__} has neither the buffer protocol nor __dlpack__")
    return found


# --- Devices --------------------------------------------------------------------------------------------------------------


class Devices:
    """Devices by id and streams by handle, each opened once."""

    def __init__(self):
        self._devices, self._streams = {}, {}

    def open(self, device):
        if device not in self._devices:
            opened = ctypes.c_void_p()
            check(functions["kernels_device_open"](None if device is None else device.encode(), ctypes.byref(opened)))
            info = table.struct("kernels_device_info")()
            info.size = ctypes.sizeof(info)
            check(functions["kernels_device_get_info"](opened, ctypes.byref(info)))
            # The default is a device by its id as well.
            self._devices[device] = self._devices.setdefault(info.id.decode(), opened)
        return self._devices[device]

    def stream(self, device, native=None):
        """The stream over a native one; of CUDA by default the legacy stream, elsewhere one of this package."""
        if (device, native) not in self._streams:
            made, opened = ctypes.c_void_p(), self.open(device)
            if native is None and not device.startswith("cuda"):
                check(functions["kernels_stream_create"](opened, ctypes.byref(made)))
            else:
                check(functions["kernels_stream_wrap"](opened, ctypes.c_void_p(native or 0), ctypes.byref(made)))
            self._streams[device, native] = made
        return self._streams[device, native]


devices = Devices()


# --- Tensors of this library ----------------------------------------------------------------------------------------------


class Tensor:
    """Memory on a device. Other libraries take it by `__dlpack__`, NumPy also by `__array_interface__`; nothing is copied."""

    def __init__(self, struct, device, owner):
        self._struct, self.device, self._owner = struct, device, owner
        self.shape = tuple(struct.shape[: struct.rank])
        self.dtype = DType(struct.dtype)

    def __repr__(self):
        return f"kernels.Tensor({'x'.join(map(str, self.shape))}, {self.dtype.name.lower()}, {self.device})"

    @property
    def address(self):
        """Where the first element lies."""
        if not self._struct.memory:
            return (self._struct.data or 0) + self._struct.byte_offset
        base = ctypes.c_void_p()
        check(functions["kernels_memory_address"](self._struct.memory, ctypes.byref(base)))
        return (base.value or 0) + self._struct.byte_offset

    def __dlpack_device__(self):
        kind, _, index = self.device.partition(":")
        return ({"cpu": _CPU, "cuda": _CUDA, "opencl": _OPENCL}[kind], int(index or 0))

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("kernels.Tensor is exported as it lies: without a copy, from its own device")
        if self._struct.memory is None and self._struct.rank and 0 not in self.shape:
            raise BufferError("what belongs to an object of the library is not exported: its memory ends with it")
        versioned = max_version is not None and max_version[0] >= 1
        managed = ctypes.c_void_p()
        export = functions["kernels_tensor_to_dlpack"]
        check(export(devices.open(self.device), ctypes.byref(self._struct), versioned, ctypes.byref(managed)))
        return capsule_of(managed, _EXPORTED[versioned])

    @property
    def __array_interface__(self):
        if self.device != "cpu" or self.dtype.name not in _TYPESTR:
            raise AttributeError("__array_interface__")
        return {"version": 3, "shape": self.shape, "typestr": _TYPESTR[self.dtype.name], "data": (self.address, False), "strides": None}


# By address instead of as an object: a capsule that ends must not get another reference.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", _python))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))


_set_destructor = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(("PyCapsule_SetDestructor", _python))
_capsules = set()  # addresses of those that live


def capsule_of(managed, name):
    """A capsule over a structure of DLPack."""
    capsule = _python.PyCapsule_New(managed, name, _capsule_ended)
    _capsules.add(id(capsule))
    return capsule


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _destroy_capsule(capsule):
    """Gives back what nobody took: a consumer renames the capsule and calls the deleter itself."""
    _capsules.discard(capsule)
    for name, (kind, _) in _NAMES.items():
        if _is_valid(capsule, name):
            address = _pointer(capsule, name)
            deleter = kind.from_address(address).deleter
            if deleter:
                _DELETER(deleter)(address)


@atexit.register
def _leave_capsules():
    """What lives until the program has ended ends when Python can be called no more: its memory goes with the program."""
    for capsule in _capsules:
        _set_destructor(capsule, None)


_capsule_ended = ctypes.cast(_destroy_capsule, ctypes.c_void_p)


def _own(memory, struct, device):
    owner = ctypes.c_void_p(memory.value)
    made = Tensor(struct, device, owner)
    weakref.finalize(made, _free, owner)
    return made


def _free(memory):
    if not is_forked():
        functions["kernels_memory_free"](memory)


def empty(shape, dtype="float32", device="cpu"):
    """A tensor on a device, its values undefined."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    name = dtype.name if isinstance(dtype, DType) else str(dtype).upper()
    if name not in _SIZES:
        raise InvalidArgumentError(f"kernels.empty: the type '{dtype}' is none of {', '.join(_SIZES).lower()}")
    kind, bytes_, memory = DType[name], _SIZES[name] * math.prod(shape), ctypes.c_void_p()
    if any(size < 0 for size in shape) or bytes_ >= 2**63:
        raise InvalidArgumentError(f"kernels.empty: the shape {shape} has a negative size, or 2^63 bytes and more")
    check(functions["kernels_memory_allocate"](devices.open(device), bytes_, ctypes.byref(memory)))
    return _own(memory, struct_of(None, kind, shape, memory=memory), device)


def from_dlpack(array):
    """A tensor over another library's memory, which is given back when the tensor ends."""
    if not hasattr(array, "__dlpack__"):
        raise TypeError(f"kernels.from_dlpack: {type(array).__name__} has no __dlpack__")
    device = _device_id(*array.__dlpack_device__())
    capsule, name, address, _ = _capsule(array, 1 if device.startswith("cuda") else None)
    memory, struct = ctypes.c_void_p(), tensor_struct()
    versioned = name == b"dltensor_versioned"
    take = functions["kernels_memory_from_dlpack"]
    check(take(devices.open(device), address, versioned, False, ctypes.byref(memory), ctypes.byref(struct)))
    _python.PyCapsule_SetName(capsule, _NAMES[name][1])
    # Its shape lies in the structure that ends with the memory.
    shape = struct.shape[: struct.rank]
    copy = struct_of(struct.data, struct.dtype, shape, memory=struct.memory)
    copy.byte_offset = struct.byte_offset
    return _own(memory, copy, device)


adapters[Tensor] = lambda tensor: Array(tensor._struct, tensor.device, tensor)
