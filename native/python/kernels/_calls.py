"""Functions and objects of the library, made from its table.

Each op is a function of the name that C gives it: `kernels_dropout_forward` is `kernels.dropout_forward`. Its parameters are those of C but
for what Python knows by itself: the stream comes from where the arrays are, a list brings its length, and the fields of `options` are
keyword arguments. What C writes through pointers is returned.
"""

import ctypes
import inspect
import types
import weakref

from . import _arrays
from ._library import InvalidArgumentError, camel, check, functions, is_forked, table

_INTEGERS = {"int32_t", "uint32_t", "int64_t", "uint64_t", "size_t", "uint8_t"}
_NUMBERS = _INTEGERS | {"double", "float"}
_TENSOR = "const kernels_tensor *"
# Lists of lists and raw memory are for those who write to C; Python has kernels.torch.optim and arrays.
_GROUPED = {"kernels_parameter_group", "kernels_tied_gradients"}


class Handle:
    """An object of the library; it ends with the Python object, when `close` is called, or with the program."""

    _free, _as_parameter_ = None, None

    def __init__(self, pointer, device=None, kept=None):
        self._as_parameter_, self.device, self._kept = pointer, device, kept
        self._end = weakref.finalize(self, _let_go, self._free, pointer)

    def close(self):
        self._as_parameter_ = ctypes.c_void_p()  # a null handle from now on
        self._end()


def _let_go(free, pointer):
    if pointer and not is_forked():
        free(pointer)


# --- Values ---------------------------------------------------------------------------------------------------------------


def member(kind, value):
    """A member of an enum, which may be named: "channels_last"."""
    if isinstance(value, str):
        try:
            return kind[value.upper()]
        except KeyError:
            names = ", ".join(f"'{known.name.lower()}'" for known in kind)
            raise InvalidArgumentError(f"'{value}' is no {kind.__name__}: {names}") from None
    return value


class Record:
    """Makes a structure of C from Python values: a dict of its fields, a sequence of them, or one value that stands for all."""

    def __init__(self, name):
        self.name, self.type = name, table.struct(name)
        fields = table.structs[name]["fields"]
        types_ = {field["name"]: field["type"] for field in fields}
        self.is_sized = fields[0]["name"] == "size"
        hidden = {"size"} if self.is_sized else set()
        hidden |= {f"has_{field}" for field in types_ if f"has_{field}" in types_}
        hidden |= {f"{field}_count" for field in types_ if f"{field}_count" in types_}
        self.has = {field for field in types_ if f"has_{field}" in hidden}
        self.lists = {field for field in types_ if f"{field}_count" in hidden}
        self.types = {field: kind for field, kind in types_.items() if field not in hidden}
        self.defaults = {field["name"]: field["default"] for field in fields if "default" in field}
        self._template = None

    def make(self, value, kept, array):
        """The structure; what must live as long as it goes into `kept`, and `array(value, name)` describes its tensors."""
        if isinstance(value, self.type):
            return value
        if self._template is None:
            self._template = self._initial()
        made = self.type.from_buffer_copy(self._template)
        field = None
        try:
            for field, given in self._fields(value).items():
                self._set(made, field, given, kept, array)
        except (TypeError, InvalidArgumentError) as error:
            raise error if field is None else type(error)(f"{field}: {error}") from None
        kept.append(made)
        return made

    def shown(self, field):
        """A default as Python writes it."""
        value = self.defaults.get(field)
        kind = table.enums.get(self.types[field])
        return None if field in self.has else kind(value).name.lower() if kind and value is not None else value

    def _initial(self):
        made = self.type()
        for field, value in self.defaults.items():
            if isinstance(value, (dict, list)):
                value = Record(table_name(self.types[field])).make(value, [], None)
            if value is not None:
                setattr(made, field, value)
        if self.is_sized:
            made.size = ctypes.sizeof(self.type)
        return made

    def _fields(self, value):
        if isinstance(value, dict):
            unknown = [field for field in value if field not in self.types]
            if unknown:
                raise TypeError(f"{camel(self.name.removeprefix('kernels_'))} has no '{unknown[0]}': {', '.join(self.types)}")
            return value
        if isinstance(value, (tuple, list)) and len(value) == len(self.types):
            return dict(zip(self.types, value))
        if isinstance(value, (int, float)):
            return {field: value for field, kind in self.types.items() if kind in ("double", "int64_t")}
        tensors = [field for field, kind in self.types.items() if kind == _TENSOR]
        if isinstance(value, (tuple, list, str)) or not tensors:
            raise TypeError(f"{value!r} is not ({', '.join(self.types)})")
        return {tensors[0]: value}

    def _set(self, made, field, value, kept, array):
        if field in self.has:
            setattr(made, f"has_{field}", value is not None)
            if value is None:
                return
        kind = self.types[field]
        if field in self.lists:
            values = [] if value is None else list(value)
            numbers = (ctypes.c_double * len(values))(*values)
            kept.append(numbers)
            setattr(made, f"{field}_count", len(values))
            value = ctypes.cast(numbers, ctypes.POINTER(ctypes.c_double)) if values else None
        elif kind == _TENSOR:
            if value is not None:
                value = ctypes.pointer(array(value, field).struct)
        elif kind in table.enums:
            value = member(table.enums[kind], value)
        elif table_name(kind) in table.structs:
            if value is not None:
                value = record(table_name(kind)).make(value, kept, array)
                value = ctypes.pointer(value) if kind.endswith("*") else value
        setattr(made, field, value)


def table_name(kind):
    return table.target(kind) or kind


_records = {}


def record(name):
    if name not in _records:
        _records[name] = Record(name)
    return _records[name]


# --- Parameters -----------------------------------------------------------------------------------------------------------
#
# Each takes one Python argument (or none) and gives one or more C arguments.


class _Parameter:
    takes = True

    def __init__(self, entry):
        self.name, self.type = entry["name"], entry["type"]
        self.nullable, self.default = entry.get("nullable", False) or "default" in entry, entry.get("default")
        self.doc = entry.get("doc", "")


class _Stream(_Parameter):
    takes = False

    def give(self, call, value):
        return [call.stream]


class _Value(_Parameter):
    def give(self, call, value):
        kind = table.enums.get(self.type)
        made = table.ctype(self.type)(value if kind is None else member(kind, value))
        if self.type in _INTEGERS and made.value != value:
            raise InvalidArgumentError(f"{value} is beyond {self.type}")
        return [made]


class _Text(_Parameter):
    def give(self, call, value):
        return [value.encode() if isinstance(value, str) else value]


class _Object(_Parameter):
    def give(self, call, value):
        return [call.handle(value, self)]


class _Tensor(_Parameter):
    def give(self, call, value):
        return [None if value is None else ctypes.byref(call.array(value, self.name).struct)]


class _List(_Parameter):
    """One of some lists of the same length, which follows the last of them."""

    def __init__(self, entry, is_last):
        super().__init__(entry)
        self.is_last = is_last

    def give(self, call, value):
        items = [] if value is None else list(value)
        if call.count not in (None, len(items)) and value is not None:
            raise InvalidArgumentError(f"{len(items)} entries, what stands before it has {call.count}")
        call.count = len(items) if call.count is None else call.count
        if self.type == _TENSOR:
            made = [call.array(item, self.name).struct for item in items]
        else:
            made = [record(table_name(self.type)).make(item, call.kept, call.array) for item in items]
        given = None if value is None else (table.struct(table_name(self.type)) * len(made))(*made)
        return [given, call.count] if self.is_last else [given]


class _Span(_Parameter):
    def give(self, call, value):
        values = [value] if isinstance(value, (int, float)) else list(value)
        return [(table.ctype(table_name(self.type)) * len(values))(*values), len(values)]


class _Key(_Parameter):
    """(seed, offset), or an array of the two on the device."""

    _struct = table.struct("kernels_key")

    def give(self, call, value):
        if value is None:
            return [None]
        if isinstance(value, (tuple, list)) and len(value) == 2:
            return [ctypes.byref(self._struct(seed=value[0], offset=value[1]))]
        if isinstance(value, (tuple, list, int, float, str)):
            raise TypeError(f"{value!r} is neither (seed, offset) nor an array of the two")
        return [ctypes.byref(self._struct(device=ctypes.pointer(call.array(value, self.name).struct)))]


class _Struct(_Parameter):
    def give(self, call, value):
        return [None if value is None else ctypes.byref(record(table_name(self.type)).make(value, call.kept, call.array))]


class _Result(_Parameter):
    """A number, an object or a structure that C writes."""

    takes = False

    def give(self, call, value):
        target = self.type[: -len("*")].rstrip()
        made = table.ctype(target)()
        if isinstance(made, ctypes.Structure) and hasattr(made, "size"):
            made.size = ctypes.sizeof(made)
        call.results.append((target, made))
        return [ctypes.byref(made)]


class _ResultArray(_Parameter):
    """A list of numbers that C writes."""

    takes, capacity = False, 16

    def give(self, call, value):
        values, count = (table.ctype(table_name(self.type)) * self.capacity)(), ctypes.c_int64()
        call.results.append((self.type, (values, count)))
        return [values, self.capacity, ctypes.byref(count)]


def _share_a_count(entries):
    """Whether what follows are more lists and then the length of all."""
    for entry in entries:
        if entry["name"] == "count":
            return entry["type"] == "int64_t"
        if not entry["type"].startswith("const ") or table.target(entry["type"]) not in table.structs:
            return False
    return False


def is_op_of(plan):
    return bool(plan) and isinstance(plan[0], _Stream)


def _plan(entries, is_op):
    """The parameters of a function as Python sees them; counts and capacities belong to what stands before them."""
    plan, entries = [], list(entries)
    while entries:
        entry = entries.pop(0)
        kind, following = entry["type"], [other["name"] for other in entries[:2]]
        target = table.target(kind)
        is_const = kind.startswith("const ")
        if target == "kernels_stream" and is_op and not plan:
            plan.append(_Stream(entry))
        elif target in table.handles:
            plan.append(_Result(entry) if kind.endswith("**") else _Object(entry))
        elif not is_op_of(plan) and is_const and target in table.structs and _share_a_count(entries):
            plan.append(_List(entry, is_last=following[0] == "count"))
            entries = entries[1:] if following[0] == "count" else entries
        elif kind == _TENSOR:
            plan.append(_Tensor(entry))
        elif target == "kernels_key" and is_const:
            plan.append(_Key(entry))
        elif target in table.structs and is_const:
            plan.append(_Struct(entry))
        elif is_const and target is not None and following[:1] == [entry["name"] + "_count"]:
            plan.append(_Span(entry))
            entries.pop(0)
        elif kind == "const char *":
            plan.append(_Text(entry))
        elif target is not None and not is_const:
            is_array = following == [entry["name"] + "_capacity", entry["name"] + "_count"]
            plan.append(_ResultArray(entry) if is_array else _Result(entry))
            entries = entries[2:] if is_array else entries
        else:
            plan.append(_Value(entry))
    return plan


class _Call:
    """What one call gathers."""

    __slots__ = ("stream", "kept", "results", "device", "native", "op", "owner", "count", "shields")

    def __init__(self, op, owner):
        self.op, self.owner, self.kept, self.results, self.shields = op, owner, [], [], []
        self.stream = self.device = self.native = self.count = None

    def array(self, value, name):
        array = _arrays.describe(value)
        if not array.writable and array.device == "cpu":
            array = self.shielded(array, name)
        if self.device is None:
            self.device, self.native = array.device, array.stream
        elif array.device != self.device:
            raise InvalidArgumentError(f"it is on {array.device}, what stands before it on {self.device}")
        self.kept.append(array)
        return array

    def shielded(self, array, name):
        """A copy of a read-only array: the table does not say what is written, and to write to such memory may end the process."""
        size = array.size()
        if size is None:
            return array  # of strides that are refused
        before = ctypes.string_at(array.address(), size)
        copy = ctypes.create_string_buffer(before, max(1, size))
        self.shields.append((name, before, copy))
        struct = _arrays.struct_of(ctypes.addressof(copy), array.struct.dtype, array.struct.shape[: array.struct.rank])
        return _arrays.Array(struct, array.device, (copy, array))

    def check_shields(self):
        for name, before, copy in self.shields:
            if copy.raw[: len(before)] != before:
                raise InvalidArgumentError(f"{self.op}: {name} is read-only, and would have been written")

    def handle(self, value, parameter):
        if value is None or isinstance(value, ctypes.c_void_p):
            return value
        if not isinstance(value, Handle):
            raise TypeError(f"{type(value).__name__} is no object of this library")
        self.owner = self.owner or value
        return value._as_parameter_

    def returned(self):
        results = [self._result(*result) for result in self.results]
        return None if not results else results[0] if len(results) == 1 else tuple(results)

    def _result(self, kind, made):
        target = table.target(kind)
        if isinstance(made, tuple):
            return list(made[0][: made[1].value])
        if target in table.handles:
            # What it was made of has to live as long as it does.
            return handles[target](made, getattr(self.owner, "device", None), (self.owner, self.kept))
        if kind == "kernels_tensor":
            return _arrays.Tensor(made, getattr(self.owner, "device", None) or "cpu", self.owner)
        if isinstance(made, ctypes.Structure):
            values = {field: getattr(made, field) for field, _ in made._fields_ if field != "size"}
            return types.SimpleNamespace(**{name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()})
        value = made.value
        return value.decode() if isinstance(value, bytes) else value


def stream_for(op, given, device, native=None):
    """The stream of a call, which has to be one of the device that its arrays are on."""
    if given is None:
        return _arrays.devices.stream(device or "cpu", native)
    if not isinstance(given, handles["kernels_stream"]):
        raise TypeError(f"{op}: stream: {type(given).__name__} is no stream of this library")
    if device not in (None, given.device):
        raise InvalidArgumentError(f"{op}: stream is one of {given.device}, the arrays are on {device}")
    return given


class Function:
    """A function of the library as Python calls it."""

    def __init__(self, entry, is_op):
        name = entry["name"].removeprefix("kernels_")
        self.__name__ = self.__qualname__ = name
        self._function = functions[entry["name"]]
        self._plan = _plan(entry["parameters"], is_op)
        self._is_op = is_op_of(self._plan)
        options = next((one for one in self._plan if isinstance(one, _Struct) and one.name == "options" and one.nullable), None)
        self._options = None if options is None else record(table_name(options.type))
        taken = [parameter for parameter in self._plan if parameter.takes and parameter is not options]
        self._names = [parameter.name for parameter in taken]
        self._needed = {parameter.name for parameter in taken if not parameter.nullable}
        # An option whose name a parameter has goes by the name of its type.
        fields = {} if self._options is None else self._options.types
        self._fields = {name if name not in self._names else kind.removeprefix("kernels_"): name for name, kind in fields.items()}
        lines = [f"    {parameter.name}: {parameter.doc}" for parameter in taken if parameter.doc]
        self._defaults = {parameter.name: parameter.default for parameter in taken if parameter.default is not None}
        self.__doc__ = "\n".join([entry.get("doc", ""), *([""] if lines else []), *lines])
        self.__signature__ = self._describe(taken)

    def __repr__(self):
        return f"<kernels.{self.__name__}{self.__signature__}>"

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args, stream=None, **settings):
        if is_forked():
            remedy = "start processes with 'spawn', as DataLoader does with multiprocessing_context='spawn'"
            raise RuntimeError(f"kernels.{self.__name__}: the library does not survive a fork; {remedy}")
        values, options = self._arguments(args, settings)
        call, arguments = _Call(f"kernels.{self.__name__}", stream), []
        try:
            for parameter in self._plan:
                name = parameter.name
                is_options = name == "options" and self._options is not None
                arguments += parameter.give(call, options if is_options else values.get(name) if parameter.takes else None)
        except (TypeError, InvalidArgumentError) as error:
            raise type(error)(f"{call.op}: {error}" if is_options else f"{call.op}: {name}: {error}") from None
        if self._is_op:
            arguments[0] = stream_for(call.op, stream, call.device, call.native)
        check(self._function(*arguments))
        call.check_shields()
        return call.returned()

    def _arguments(self, args, settings):
        if len(args) > len(self._names):
            raise TypeError(f"kernels.{self.__name__} takes {len(self._names)} arguments, {', '.join(self._names)}; {len(args)} were given")
        values, options = {**self._defaults, **dict(zip(self._names, args))}, {}
        for name, value in settings.items():
            if name in self._names and name not in self._names[: len(args)]:
                values[name] = value
            elif name in self._fields:
                options[self._fields[name]] = value
            else:
                reason = "is given twice" if name in self._names else "is no argument of it"
                raise TypeError(f"kernels.{self.__name__}: '{name}' {reason}")
        for name in self._names:
            if name in self._needed and values.get(name) is None:
                raise TypeError(f"kernels.{self.__name__}: '{name}' is missing")
        return values, options or None

    def _describe(self, taken):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        optional = {name for name in self._names if name not in self._needed}
        seen, parameters = False, []
        for parameter in reversed(taken):  # a default needs defaults after it
            has_default = parameter.name in optional and not seen
            seen = seen or not has_default
            default = parameter.default if has_default else inspect.Parameter.empty
            parameters.insert(0, inspect.Parameter(parameter.name, kind, default=default))
        only = inspect.Parameter.KEYWORD_ONLY
        if self._options is not None:
            parameters += [inspect.Parameter(name, only, default=self._options.shown(field)) for name, field in self._fields.items()]
        if self._is_op:
            parameters.append(inspect.Parameter("stream", only, default=None))
        return inspect.Signature(parameters)


def _make():
    """All functions by name, and a class for each kind of object with its functions as methods."""
    made = {}
    kinds = {}
    for name in table.handles:
        kinds[name] = type(camel(name.removeprefix("kernels_")), (Handle,), {"_free": functions.get(f"{name}_free")})
    for name, entry in table.functions.items():
        types_ = {parameter["type"] for parameter in entry["parameters"]}
        raw = types_ & {"void *", "const void *", "void **"} or any(table.target(kind) in _GROUPED for kind in types_)
        if entry["result"] != "kernels_status" or name.endswith("_free") or raw:
            continue
        first = table.target(entry["parameters"][0]["type"]) if entry["parameters"] else None
        owner = first if first in kinds and name.startswith(first + "_") else None
        function = Function(entry, is_op=owner is None)
        if owner is None:
            made[function.__name__] = function
        else:
            setattr(kinds[owner], name.removeprefix(owner + "_"), function)
    return made, kinds


made, handles = _make()
