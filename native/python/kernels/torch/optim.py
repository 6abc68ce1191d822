"""Optimizers with PyTorch's arguments and state, each step of a list of parameters in one launch: `from kernels.torch import optim`.

SGD, Adam, AdamW, RMSprop and Lion. What PyTorch's do not have are settings of a group (`l1`, `l1_mode`, `max_norm`, `weight_decay_mode`)
and of the optimizer (`max_grad_norm`, `loss_scale`, which may be a float32 tensor that is read at each step, `skips_non_finite`,
`master_copy` of half types, `average_decay`, `counts_zeros`). What is not here is PyTorch's own.

Gradients are read where the first step found them. `zero_grad` therefore sets them to zero in place; gradients that were made anew are
copied. State is kept on the device by the library; `state` and `state_dict` show it under PyTorch's names, and a state of PyTorch's
optimizer loads.
"""

import ctypes
import math

import torch
import torch.optim as _torch

from .. import _arrays, _calls
from .._library import check, functions, table
from . import _compile
from ._tensors import real, stream_of

try:
    from torch.autograd.graph import increment_version
except ImportError:  # before PyTorch 2.1

    def increment_version(tensor):
        tensor.detach().unsqueeze_(0)  # in place, if only in the shape of a view: it shares the count


_Settings = _calls.record("kernels_optimizer_settings")
_Group = table.struct("kernels_parameter_group")
_SETTINGS = {
    "max_grad_norm": "maximum_gradient_norm",
    "skips_non_finite": "skips_non_finite_gradients",
    "loss_scale": "loss_scale",
    "master_copy": "keeps_master_copy",
    "average_decay": "average_decay",
    "counts_zeros": "counts_zeros",
}
_COMMON = {"weight_decay": "weight_decay", "lr": "learning_rate", "l1": "l1", "l1_mode": "l1_mode", "max_norm": "maximum_norm"}
_TYPES = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double, torch.int64: ctypes.c_int64}


def __getattr__(name):
    return getattr(_torch, name)


class _Memory:
    """Memory of the library as an array; it keeps alive what the memory belongs to."""

    def __init__(self, address, dtype, shape, owner):
        self.owner, count = owner, math.prod(shape)
        self.buffer = (_TYPES[dtype] * count).from_address(address) if count else None
        self.__cuda_array_interface__ = {
            "version": 3, "shape": tuple(shape), "typestr": {torch.float32: "<f4", torch.float64: "<f8", torch.int64: "<i8"}[dtype],
            "data": (address, False), "strides": None,
        }  # fmt: skip

    def tensor(self, device, dtype):
        shape = self.__cuda_array_interface__["shape"]
        if self.buffer is None:
            return torch.empty(shape, dtype=dtype, device=device)
        if device.type == "cuda":
            return torch.as_tensor(self, device=device)
        self.buffer.owner = self.owner  # from_address keeps nothing
        return torch.frombuffer(self.buffer, dtype=dtype).view(shape)


class _Native:
    """The library's optimizer over parameters that began together and so count the same steps."""

    def __init__(self, name, groups, options, settings):
        self.groups, self.parameters = groups, [p for group in groups for p in group]
        self.gradients = [p.grad.detach() if p.grad.stride() == p.stride() else torch.empty_like(p).detach() for p in self.parameters]
        self.addresses = [p.data_ptr() for p in self.parameters]
        first = self.parameters[0]
        self.device, self.name, self.options = first.device, name, options
        kept, made, device = [], (_Group * len(groups))(), f"cuda:{first.device.index}" if first.is_cuda else "cpu"
        gradients = iter(self.gradients)
        for entry, group in zip(made, groups):
            entry.count = len(group)
            entry.parameters = self._structs(group, kept)
            entry.gradients = self._structs([next(gradients) for _ in group], kept)
        records = self._records(options, kept)
        handle = ctypes.c_void_p()
        opened = _arrays.devices.open(device)
        create = functions[f"kernels_{name}_create"]
        settings = _Settings.make(settings, kept, self._array(device, kept))
        check(create(opened, made, records, len(groups), ctypes.byref(settings), ctypes.byref(handle)))
        self.handle = _calls.handles["kernels_optimizer"](handle, device)

    def _structs(self, tensors, kept):
        arrays = [_arrays.describe(_flat(tensor)) for tensor in tensors]
        structs = (_arrays.tensor_struct * len(arrays))(*(array.struct for array in arrays))
        kept.extend([arrays, structs])
        return structs

    def _records(self, options, kept):
        record = _calls.record(f"kernels_{self.name}_options")
        made = [record.make(option, kept, None) for option in options]  # there are no tensors among them
        return (record.type * len(made))(*made)

    @staticmethod
    def _array(device, kept):
        def array(value, _):
            described = _arrays.describe(value)
            if described.device != device:
                raise ValueError(f"the tensor is on {described.device}, the parameters are on {device}")
            kept.append(described)
            return described

        return array

    def change(self, options):
        for index, (old, new) in enumerate(zip(self.options, options)):
            if old != new:
                check(functions[f"kernels_{self.name}_set_options"](self.handle._as_parameter_, index, self._records([new], [])))
        self.options = options

    def has_moved(self):
        """Whether a parameter lies elsewhere than the library was told, as after `p.data = ...`."""
        return any(p.data_ptr() != address for p, address in zip(self.parameters, self.addresses))

    def stream(self):
        return stream_of(self.device)

    def step(self):
        for parameter, gradient in zip(self.parameters, self.gradients):
            given = parameter.grad
            if given is None:
                raise RuntimeError("a parameter that took part in steps before has no gradient; zero_grad() leaves one of zeros")
            if given.data_ptr() != gradient.data_ptr():
                gradient.copy_(given)
                if not given.requires_grad:
                    parameter.grad = gradient  # the next backward adds to it where it lies
        check(functions["kernels_optimizer_step"](self.handle._as_parameter_, self.stream()))
        for parameter in self.parameters:
            increment_version(parameter)  # autograd finds out by it what was changed behind its back

    def counts(self):
        """Steps taken and steps skipped, as a tensor on the device."""
        struct = _arrays.tensor_struct()
        check(functions["kernels_optimizer_step_counts"](self.handle._as_parameter_, ctypes.byref(struct)))
        return _Memory(_address(struct, self), torch.int64, (2,), self).tensor(self.device, torch.int64)

    def state(self, name, index):
        struct = _arrays.tensor_struct()
        check(functions["kernels_optimizer_state"](self.handle._as_parameter_, name.encode(), index, ctypes.byref(struct)))
        parameter = self.parameters[index]
        shape, dtype = tuple(struct.shape[: struct.rank]), real(parameter.dtype)
        flat = _Memory(_address(struct, self), dtype, shape, self).tensor(self.device, dtype)
        return flat if parameter.is_contiguous() else flat.as_strided(parameter.shape, parameter.stride())

    def names(self):
        found, index, name = [], 0, ctypes.c_char_p()
        while True:
            check(functions["kernels_optimizer_state_name"](self.handle._as_parameter_, index, ctypes.byref(name)))
            if name.value is None:
                return found
            found.append(name.value.decode())
            index += 1

    def resume(self, steps):
        check(functions["kernels_optimizer_resume"](self.handle._as_parameter_, self.stream(), steps))


def _address(struct, native):
    return _arrays.Tensor(struct, native.handle.device, native).address


def _flat(tensor):
    """A parameter as it lies: rows, or channels last with its dimensions in the order of memory."""
    if tensor.is_contiguous():
        return tensor.detach()
    order = sorted(range(tensor.dim()), key=lambda axis: -tensor.stride(axis))
    return tensor.detach().permute(order)


class _Optimizer(_torch.Optimizer):
    """PyTorch's groups and state over the library's optimizer."""

    _native, _states, _options = None, {}, {}

    def __init__(self, params, defaults, settings):
        unknown = [name for name in settings if name not in _SETTINGS]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no setting '{unknown[0]}': {', '.join(_SETTINGS)}")
        self._settings = {_SETTINGS[name]: value for name, value in settings.items()}
        if isinstance(settings.get("loss_scale"), torch.Tensor):
            self._settings["device_loss_scale"] = self._settings.pop("loss_scale")
        self._natives = []
        super().__init__(params, {**defaults, "l1": 0.0, "l1_mode": "proximal", "max_norm": 0.0})

    def add_param_group(self, param_group):
        """Adds a group, whose settings are looked at here as in PyTorch: by the library, for one parameter of one element."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        known = (p.dtype for p in group["params"] if p.is_floating_point())
        probe = torch.nn.Parameter(torch.zeros((1, 1), dtype=next(known, torch.float32)))
        probe.grad = torch.zeros_like(probe)
        settings = {name: value for name, value in self._settings.items() if not isinstance(value, torch.Tensor)}
        try:
            _Native(self._native, [[probe]], [self._group_options(group)], settings)
        except Exception:
            self.param_groups.pop()
            raise

    def _group_options(self, group):
        names = {**_COMMON, **self._options}
        options = {}
        for name, field in names.items():
            if isinstance(field, tuple):
                options.update(zip(field, group[name]))
            else:
                options[field] = float(group[name]) if isinstance(group[name], torch.Tensor) else group[name]
        if group.get("weight_decay_mode") is not None:
            options["weight_decay_mode"] = group["weight_decay_mode"]
        return options

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all parameters that have gradients; they all have them from their first step on."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        options = [self._group_options(group) for group in self.param_groups]
        self._natives = [native for native in self._natives if not native.has_moved()]
        known = {id(p) for native in self._natives for p in native.parameters}
        if any(p.grad is not None and id(p) not in known for group in self.param_groups for p in group["params"]):
            self._begin(known, options)
        for native in self._natives:
            native.change([options[index] for index in native.indices])
            native.step()
        return loss

    def _begin(self, known, options):
        """Makes optimizers of the library for parameters that have their first gradient: one for each device, type and count of steps."""
        begun = {}
        for index, group in enumerate(self.param_groups):
            for p in group["params"]:
                if p.grad is None or id(p) in known:
                    continue
                if p.grad.is_sparse:
                    raise RuntimeError(f"{type(self).__name__} does not take sparse gradients")
                state = self.state.get(p) or {}
                steps = int(state.get("step", state.get("momentum_buffer") is not None))  # PyTorch's SGD counts no steps
                begun.setdefault((p.device, p.dtype, steps), {}).setdefault(index, []).append(p)
        for (_, _, steps), groups in begun.items():
            native = _Native(self._native, list(groups.values()), [options[index] for index in groups], self._settings)
            native.indices = list(groups)
            self._show(native, steps)
            self._natives.append(native)

    def _show(self, native, steps):
        """State under PyTorch's names; what was loaded goes into it."""
        counts, names = native.counts(), native.names()
        for index, p in enumerate(native.parameters):
            loaded, shown = self.state.get(p) or {}, {"step": counts[0]}
            for name in names:
                value = native.state(name, index)
                shown[self._states.get(name, name)] = value
                if loaded.get(self._states.get(name, name)) is not None:
                    value.copy_(loaded[self._states.get(name, name)])
            self.state[p] = shown
        if steps:
            native.resume(steps)

    def zero_grad(self, set_to_none=False):
        """Sets gradients to zero where they lie; `set_to_none` is taken for PyTorch's sake and does the same."""
        super().zero_grad(set_to_none=False)

    def state_dict(self):
        """As PyTorch's; a copy, which the next step does not change."""
        packed = super().state_dict()
        clone = {name: {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
                 for name, state in packed["state"].items()}  # fmt: skip
        return {**packed, "state": clone}

    def load_state_dict(self, state_dict):
        """Takes a state of this optimizer or of PyTorch's."""
        self._natives = []
        super().load_state_dict(state_dict)

    def __getstate__(self):
        raise TypeError(f"{type(self).__name__} is not copied or pickled; its state_dict() is")

    def __setstate__(self, state):
        # PyTorch's own way of loading a state.
        self.__dict__.update(state)
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def grad_norm(self):
        """The norm of all gradients of the last step, with `max_grad_norm` or `skips_non_finite`; waits for it."""
        squares = 0.0
        for native in self._natives:
            norm = ctypes.c_double()
            check(functions["kernels_optimizer_gradient_norm"](native.handle._as_parameter_, native.stream(), ctypes.byref(norm)))
            squares += norm.value**2
        return math.sqrt(squares)


def _refuse(name, **flags):
    for flag, value in flags.items():
        if value:
            raise ValueError(f"kernels.torch.optim.{name} has no {flag}; torch.optim.{name} has")


class SGD(_Optimizer):
    """Stochastic gradient descent with momentum. Keyword arguments after `nesterov`: see the module."""

    _native, _states = "sgd", {"velocity": "momentum_buffer"}
    _options = {"momentum": "momentum", "dampening": "dampening", "nesterov": "nesterov"}

    def __init__(
        self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None,
        differentiable=False, fused=None, weight_decay_mode=None, **settings,
    ):  # fmt: skip
        _refuse("SGD", maximize=maximize, differentiable=differentiable)
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, {**defaults, "weight_decay_mode": weight_decay_mode}, settings)


class Adam(_Optimizer):
    """Adam with coupled decay. Keyword arguments after `amsgrad`: see the module."""

    _native = "adam"
    _states = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq", "largest_second_moment": "max_exp_avg_sq"}
    _options = {"betas": ("beta1", "beta2"), "eps": "epsilon", "amsgrad": "uses_largest_second_moment"}

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *, foreach=None, maximize=False,
        capturable=False, differentiable=False, fused=None, weight_decay_mode=None, **settings,
    ):  # fmt: skip
        _refuse(type(self).__name__, maximize=maximize, differentiable=differentiable)
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, {**defaults, "weight_decay_mode": weight_decay_mode}, settings)


class AdamW(Adam):
    """Adam with decoupled decay."""

    _native = "adamw"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, **settings):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **settings)


class RMSprop(_Optimizer):
    """RMSprop, centered and with momentum. Keyword arguments after `centered`: see the module."""

    _native = "rms_prop"
    _states = {"second_moment": "square_avg", "velocity": "momentum_buffer", "mean_gradient": "grad_avg"}
    _options = {"alpha": "second_moment_decay", "eps": "epsilon", "momentum": "momentum", "centered": "centered"}

    def __init__(
        self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, *, foreach=None, maximize=False,
        differentiable=False, capturable=False, weight_decay_mode=None, **settings,
    ):  # fmt: skip
        _refuse("RMSprop", maximize=maximize, differentiable=differentiable)
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum, "centered": centered}
        super().__init__(params, {**defaults, "weight_decay_mode": weight_decay_mode}, settings)


class Lion(_Optimizer):
    """Lion: the sign of a mean of gradients (Chen et al., 2023), with decoupled decay."""

    _native, _states, _options = "lion", {"first_moment": "exp_avg"}, {"betas": ("beta1", "beta2")}

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, *, weight_decay_mode=None, **settings):
        defaults = {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay, "weight_decay_mode": weight_decay_mode}
        super().__init__(params, defaults, settings)


_compile.leave_out(__name__)
