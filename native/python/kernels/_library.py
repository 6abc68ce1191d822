"""Finds libkernels, reads the table of its interface (kernels.json), and makes ctypes of it.

Nothing of the interface is written down in Python: enums, structures, functions, their parameters and defaults all come from the table.
"""

import ctypes
import enum
import json
import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_FILE = {"win32": "kernels.dll", "darwin": "libkernels.dylib"}.get(sys.platform, "libkernels.so")

# The package lies in python/ beside include/ and lib/ of the archive, and beside include/ of the repository's native/.
_LIBRARIES = (
    _PACKAGE / _FILE,
    _PACKAGE / "../../lib" / _FILE,
    _PACKAGE / "../../../.artifacts/native" / _FILE,
)
_TABLES = (_PACKAGE / "kernels.json", _PACKAGE / "../../include/kernels.json")

_SCALARS = {
    "double": ctypes.c_double,
    "float": ctypes.c_float,
    "bool": ctypes.c_bool,
    "size_t": ctypes.c_size_t,
    "uint8_t": ctypes.c_uint8,
    "uint16_t": ctypes.c_uint16,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "void *": ctypes.c_void_p,
    "const void *": ctypes.c_void_p,
    "void **": ctypes.POINTER(ctypes.c_void_p),
    "char *": ctypes.c_char_p,
    "const char *": ctypes.c_char_p,
    "const char **": ctypes.POINTER(ctypes.c_char_p),
}


class KernelsError(RuntimeError):
    """The library, a device or its driver failed; `status` is the library's name for it."""

    status = "INTERNAL_ERROR"


class DeviceError(KernelsError):
    """A device or its driver failed, or there is no such device."""


class InvalidArgumentError(KernelsError, ValueError):
    """An argument is wrong: the message names op, argument, value and shape. Nothing was launched."""

    status = "INVALID_ARGUMENT"


class OutOfMemoryError(KernelsError, MemoryError):
    """There is too little memory; the device stays usable."""


class BadDataError(KernelsError, IndexError):
    """A kernel met data that it cannot take, such as a label out of range."""


_ERRORS = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "INVALID_HANDLE": InvalidArgumentError,
    "DEVICE_NOT_AVAILABLE": DeviceError,
    "DEVICE_ERROR": DeviceError,
    "OUT_OF_MEMORY": OutOfMemoryError,
    "BAD_DATA": BadDataError,
}


def find(candidates, variable, what):
    """The first file that is there; an environment variable names another."""
    chosen = os.environ.get(variable)
    if chosen:
        if not os.path.isfile(chosen):
            raise ImportError(f"{variable} is {chosen}, which is no file")
        return Path(chosen)
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    tried = ", ".join(os.path.normpath(candidate) for candidate in candidates)
    raise ImportError(f"{what} was not found; set {variable} to it (tried {tried})")


class Table:
    """The types and functions of kernels.json."""

    def __init__(self, text):
        table = json.loads(text)
        self.version = table["version"]
        self.handles = set(table["handles"])
        self.enums = {entry["name"]: self._enum(entry) for entry in table["enums"]}
        self.structs = {entry["name"]: entry for entry in table["structs"]}
        self.functions = {entry["name"]: entry for entry in table["functions"]}
        self._types = {}

    @staticmethod
    def _enum(entry):
        prefix = entry["name"].upper() + "_"
        members = {value["name"].removeprefix(prefix): value["value"] for value in entry["values"]}
        name = camel(entry["name"].removeprefix("kernels_"))
        made = enum.IntEnum(name, members, module="kernels")
        made.__doc__ = entry.get("doc")
        return made

    def ctype(self, name):
        """The ctypes type of a C type as the table writes it."""
        if name in _SCALARS:
            return _SCALARS[name]
        if name in self.enums:
            return ctypes.c_int32
        if name in self.structs:
            return self.struct(name)
        if name.startswith("char["):
            return ctypes.c_char * int(name[5:-1])
        target = self.target(name)
        if target in self.handles:
            return ctypes.POINTER(ctypes.c_void_p) if name.endswith("**") else ctypes.c_void_p
        if name.endswith("*") and target is not None:
            return ctypes.POINTER(self.ctype(target))
        raise ImportError(f"kernels.json names the type '{name}', which this package does not know")

    @staticmethod
    def target(name):
        """What a pointer type points to: `const kernels_key *` is a `kernels_key`."""
        return name.removeprefix("const ").rstrip("* ") if name.endswith("*") else None

    def struct(self, name):
        if name not in self._types:
            made = type(name, (ctypes.Structure,), {"__doc__": self.structs[name].get("doc")})
            self._types[name] = made  # before its fields, which may point to itself
            made._fields_ = [(field["name"], self.ctype(field["type"])) for field in self.structs[name]["fields"]]
        return self._types[name]


def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _bind(library, table):
    """Gives every function of the library its types; one that is missing is an error here, not at its first call."""
    bound = {}
    for name, entry in table.functions.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{path} has no {name}: library and kernels.json are not of one version") from None
        function.argtypes = [table.ctype(parameter["type"]) for parameter in entry["parameters"]]
        result = entry["result"]
        function.restype = None if result == "void" else table.ctype(result)
        bound[name] = function
    return bound


_forked = False


def _note_fork():
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def is_forked():
    """Whether this process was forked from the one that loaded the library, whose threads it does not have: calls might never return."""
    return _forked


def check(status):
    """Raises what a status stands for, with the library's message."""
    if status:
        message = (functions["kernels_last_error"]() or b"").decode("utf-8", "replace")
        name = (functions["kernels_status_name"](status) or b"").decode()
        error = _ERRORS.get(name.removeprefix("KERNELS_STATUS_"), KernelsError)(message)
        error.status = name
        raise error


path = find(_LIBRARIES, "KERNELS_LIBRARY", _FILE)
table = Table(find(_TABLES, "KERNELS_INTERFACE", "kernels.json").read_text(encoding="utf-8"))
functions = _bind(ctypes.CDLL(str(path)), table)

_version = functions["kernels_version"]()
if ".".join(str(_version // part % 100) for part in (10000, 100, 1)) != table.version:
    raise ImportError(f"{path} is version {_version}, kernels.json is {table.version}")
