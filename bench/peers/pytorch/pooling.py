"""Pooling and upsampling."""

import torch
from case import gradient, op, require


@op("max-pool2d", "forward", "torch.nn.functional.max_pool2d with its indices")
@op("max-pool2d", "infer", "torch.nn.functional.max_pool2d")
def max_pool2d_forward(case):
    x, settings = maps_of(case), max_pool2d_settings(case)
    return lambda: torch.ops.aten.max_pool2d_with_indices(x, *settings) if case["entry"] == "forward" else torch.max_pool2d(x, *settings)


@op("max-pool2d", "backward", "aten::max_pool2d_with_indices_backward")
def max_pool2d_backward(case):
    x, settings = maps_of(case), max_pool2d_settings(case)
    y, indices = torch.ops.aten.max_pool2d_with_indices(x, *settings)
    dy = torch.ones_like(y)
    return lambda: torch.ops.aten.max_pool2d_with_indices_backward(dy, x, *settings, indices)


def max_pool2d_settings(case):
    window = both(case["window"])
    return window, both(case["stride"]) if case["stride"] else window, padding_of(case), both(case["dilation"] or 1), case["ceilMode"]


@op("average-pool2d", "forward", "torch.nn.functional.avg_pool2d")
def average_pool2d_forward(case):
    x, settings = maps_of(case), average_pool2d_settings(case)
    return lambda: torch.nn.functional.avg_pool2d(x, *settings)


@op("average-pool2d", "backward", "aten::avg_pool2d_backward")
def average_pool2d_backward(case):
    x, settings = maps_of(case), average_pool2d_settings(case)
    dy = torch.ones_like(torch.nn.functional.avg_pool2d(x, *settings))
    return lambda: torch.ops.aten.avg_pool2d_backward(dy, x, *settings)


@op("average-pool2d", "global", "torch.nn.functional.adaptive_avg_pool2d to one cell")
def average_pool2d_global(case):
    x = maps_of(case)
    return lambda: torch.nn.functional.adaptive_avg_pool2d(x, 1)


@op("average-pool2d", "global backward", "autograd through torch.nn.functional.adaptive_avg_pool2d to one cell")
def average_pool2d_global_backward(case):
    return gradient([maps_of(case)], lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 1))


def average_pool2d_settings(case):
    require(case["dilation"] is None, "torch.nn.functional.avg_pool2d has no dilation")
    require(case["divisor"] is None or case["divisor"] == int(case["divisor"]), "torch.nn.functional.avg_pool2d divides by integers")
    window, divisor = both(case["window"]), case["divisor"]
    stride = both(case["stride"]) if case["stride"] else window
    return window, stride, padding_of(case), case["ceilMode"], not case["excludesPadding"], None if divisor is None else int(divisor)


@op("nearest-upsample", "forward", "torch.nn.functional.interpolate, nearest")
def nearest_upsample_forward(case):
    x, factor = maps_of(case), tuple(both(case["factor"]))
    return lambda: torch.nn.functional.interpolate(x, scale_factor=factor, mode="nearest")


@op("nearest-upsample", "backward", "autograd through torch.nn.functional.interpolate, nearest")
def nearest_upsample_backward(case):
    factor = tuple(both(case["factor"]))
    return gradient([maps_of(case)], lambda x: torch.nn.functional.interpolate(x, scale_factor=factor, mode="nearest"))


def both(size):
    return [size["height"], size["width"]] if isinstance(size, dict) else [size, size]


def padding_of(case):
    padding = case["padding"]
    require(padding["top"] == padding["bottom"] and padding["left"] == padding["right"], "torch pads both sides alike")
    return [padding["top"], padding["left"]]


def maps_of(case):
    """Channels last in memory are channels first by name."""
    x = case.uniform(case["shape"])
    return x.movedim(-1, 1) if case["layout"] == "ChannelsLast" else x
