"""The library's own side of a case, in PyTorch's process and on its stream: what is timed beside PyTorch under the same conditions.

The function is the one that op and entry name. It gets the tensors and settings of the problem by their names, so that nothing is written
down for an op; one whose names do not fit is timed in the command's own process.
"""

import re
import sys

import torch
from case import Unsupported

KEY = (42, 0)
NAMES = {"matmul": "mat_mul", "random": "random_bits"}
ENTRIES = {"global": "forward_global", "global backward": "backward_global"}

# Settings that a problem names otherwise than the function: the parameter, and what it is.
SETTINGS = {
    "attention-dropout": {"scale": lambda problem: 0.7},
    "drop-block": {"block_size": lambda problem: problem["block"], "rate": lambda problem: (problem["rule"].lower(), problem["rate"])},
    "gaussian-dropout": {"drop_probability": lambda problem: problem["strength"]},
    "gaussian-noise": {"standard_deviation": lambda problem: problem["strength"]},
    "spectral-norm": {"more_iterations": lambda problem: problem["iterations"] - 1},
}
# Ops whose problems say in another way what the function is told.
UNLIKE = {"normalize", "random-erase", "variational-dropout"}
DTYPES = {
    "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64, "u8": torch.uint8, "i32": torch.int32,
    "u64": torch.int64,
}  # fmt: skip


def load(folder):
    """Imports the package from its folder; its adapter of PyTorch's tensors comes with kernels.torch."""
    sys.path.insert(0, folder)
    import kernels
    import kernels.torch

    return kernels


def plain(name):
    return name.replace("_", "").lower()


def snake(text):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", text).lower()


def converted(value):
    """A setting as the functions take it: names of enumerations in small letters, structs as dictionaries by the names of their fields."""
    if isinstance(value, str):
        return snake(value)
    if isinstance(value, dict):
        return {snake(name): converted(field) for name, field in value.items() if field is not None}
    return value


def settings_of(problem):
    """The settings of a problem by their plain names; those of its options lie beside the others."""
    found = {plain(name): converted(value) for name, value in {**problem, **problem.get("options", {})}.items()}
    if problem.get("channelsLast"):
        found["layout"] = "channels_last"
    return found


def tensor(spec, device):
    """A tensor of a problem. Integers have the problem's values, since they are labels and indices; floats and pixels are any."""
    if spec["dtype"] not in DTYPES:
        raise Unsupported(f"PyTorch has no type for {spec['name']}")
    dtype, shape = DTYPES[spec["dtype"]], spec["shape"]
    if spec["values"] is not None:
        values = [float(value) for value in spec["values"]]  # some are named: "NaN"
        return torch.tensor(values, dtype=torch.float64, device=device).to(dtype).view(shape)
    if dtype == torch.uint8:
        return torch.randint(256, shape, dtype=dtype, device=device)
    if not dtype.is_floating_point:
        raise Unsupported(f"{spec['name']} has too many integers to be sent")
    made = torch.empty(shape, dtype=torch.float32, device=device).uniform_(-2, 2)
    return (made.abs() if "variance" in spec["name"] else made).to(dtype)


def prepare(kernels, request, device):
    """The name of the function and the call to time."""
    name, function, arguments = bind(kernels, request, device)

    def call():
        function(**arguments)

    try:
        call()
    except (TypeError, ValueError) as error:
        raise Unsupported(str(error)) from None
    return name, call


def bind(kernels, request, device):
    """The function that has the problem's names, and its arguments."""
    op, problem = request["op"], request["problem"]
    if op in UNLIKE:
        raise Unsupported(f"problems of {op} are not told by name")
    entry = ENTRIES.get(problem["entry"], problem["entry"])
    name = re.sub("[ -]", "_", f"{NAMES.get(op, op)}_{entry}")
    function = getattr(kernels, name, None)
    if function is None:
        raise Unsupported(f"kernels.{name} is no function")
    given = {plain(spec["name"]): tensor(spec, device) for spec in request["tensors"]}
    settings = settings_of(problem)
    parameters = function.__signature__.parameters
    arguments = {key: value(problem) for key, value in SETTINGS.get(op, {}).items() if key in parameters}
    used = set()
    for parameter in parameters.values():
        key = plain(parameter.name)
        if parameter.name in arguments:
            continue
        if key in given:
            arguments[parameter.name] = given[key]
            used.add(key)
        elif parameter.name == "key":
            arguments["key"] = tuple(request.get("key", KEY))
        elif settings.get(key, []) != [] and parameter.name != "stream":  # an empty list stands for none
            arguments[parameter.name] = settings[key]
    unused = set(given) - used
    if unused:
        raise Unsupported(f"kernels.{name} takes no {', '.join(sorted(unused))}")
    return f"kernels.{name}", function, arguments
