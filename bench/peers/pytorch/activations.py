"""Activations whose gradients follow from their outputs."""

import torch
from case import op

SLOPE = 0.2


@op("leaky-relu", "forward", "torch.nn.functional.leaky_relu")
def leaky_relu_forward(case):
    x = case.uniform(case["shape"])
    return lambda: torch.nn.functional.leaky_relu(x, SLOPE)


@op("leaky-relu", "backward", "aten::leaky_relu_backward of the result")
def leaky_relu_backward(case):
    y, dy = outputs_of(case)
    return lambda: torch.ops.aten.leaky_relu_backward(dy, y, SLOPE, True)


@op("tanh", "forward", "torch.tanh")
def tanh_forward(case):
    x = case.uniform(case["shape"])
    return lambda: torch.tanh(x)


@op("tanh", "backward", "aten::tanh_backward")
def tanh_backward(case):
    y, dy = outputs_of(case)
    return lambda: torch.ops.aten.tanh_backward(dy, y)


@op("sigmoid", "forward", "torch.sigmoid")
def sigmoid_forward(case):
    x = case.uniform(case["shape"])
    return lambda: torch.sigmoid(x)


@op("sigmoid", "backward", "aten::sigmoid_backward")
def sigmoid_backward(case):
    y, dy = outputs_of(case)
    return lambda: torch.ops.aten.sigmoid_backward(dy, y)


def outputs_of(case):
    return case.uniform(case["shape"], low=0, high=1), case.uniform(case["shape"])
