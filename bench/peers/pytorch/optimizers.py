"""Optimizers and copies of parameters."""

import torch
from case import op, require


@op("sgd", "step", "torch.optim.SGD.step, the multi-tensor way on CUDA")
def sgd_step(case):
    return optimizer_step(case, torch.optim.SGD, ["momentum", "dampening", "nesterov"])


@op("adam", "step", "torch.optim.Adam.step, fused on CUDA")
def adam_step(case):
    return optimizer_step(case, torch.optim.Adam, ADAM_SETTINGS)


@op("adamw", "step", "torch.optim.AdamW.step, fused on CUDA")
def adamw_step(case):
    return optimizer_step(case, torch.optim.AdamW, ADAM_SETTINGS)


@op("rmsprop", "step", "torch.optim.RMSprop.step, the multi-tensor way on CUDA")
def rmsprop_step(case):
    return optimizer_step(case, torch.optim.RMSprop, ["momentum", "centered", ("alpha", "secondMomentDecay"), ("eps", "epsilon")])


ADAM_SETTINGS = [("betas", "beta1", "beta2"), ("eps", "epsilon"), ("amsgrad", "usesLargestSecondMoment")]


def optimizer_step(case, kind, settings):
    """The fastest of PyTorch's ways on the device: fused, else multi-tensor (foreach), else one tensor after the other."""
    require(len(case["groups"]) == 1 and case["isPlain"], "timed with one group and plain settings")
    options = case["groups"][0]["options"]
    require(options["l1"] == 0 and options["maximumNorm"] == 0, "torch.optim has neither L1 nor a maximum norm")
    parameters = []
    for shape in case["groups"][0]["shapes"]:
        parameter = torch.nn.Parameter(case.uniform(*shape))
        parameter.grad = case.uniform(*shape)
        parameters.append(parameter)
    # The values do not change the time, and steps without end must not run into infinity.
    arguments = {"lr": 1e-6, "weight_decay": options["weightDecay"]}
    for setting in settings:
        name, *sources = setting if isinstance(setting, tuple) else (setting, setting)
        values = tuple(options[source] for source in sources)
        arguments[name] = values if len(values) > 1 else values[0]
    failure = None
    for way in ({"fused": True}, {"foreach": True}, {}) if case.device.type == "cuda" else ({},):
        try:
            optimizer = kind(parameters, **arguments, **way)
            optimizer.step()  # makes the state
            return optimizer.step
        except (TypeError, ValueError, RuntimeError) as error:
            failure = error
    raise Unsupported(first_sentence(failure))


@op("parameter-snapshot", "save", "torch.Tensor.copy_ of each tensor")
def parameter_snapshot_save(case):
    parameters = [case.uniform(length) for length in case["lengths"]]
    copies = [torch.empty_like(parameter) for parameter in parameters]

    def call():
        for parameter, copy in zip(parameters, copies):
            copy.copy_(parameter)

    return call
