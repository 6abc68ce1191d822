"""Penalties on parameters, and parameters in several places."""

import torch
from case import op


@op("norm-penalty", "value", "l1 * w.abs().sum() + l2 * w.square().sum() of each tensor, added up")
def norm_penalty_value(case):
    penalty, parameters = norm_penalty(case)
    return lambda: penalty(parameters)


@op("norm-penalty", "value and gradient", "the same penalty and its backward, added to the gradients")
def norm_penalty_gradient(case):
    penalty, parameters = norm_penalty(case)
    for parameter in parameters:
        parameter.requires_grad_().grad = torch.zeros_like(parameter)

    def call():
        with torch.enable_grad():
            penalty(parameters).backward()

    return call


def norm_penalty(case):
    parameters = [case.uniform(length) for length in case["lengths"]]
    factor = 0.5 if case["convention"] == "Half" else 1.0
    strengths = [(strength["l1"], factor * strength["l2"]) for strength in case["strengths"]]
    return lambda tensors: sum(l1 * w.abs().sum() + l2 * w.square().sum() for w, (l1, l2) in zip(tensors, strengths)), parameters


@op("tied-gradients", "sum", "sum() over the uses of each gradient")
@op("tied-gradients", "add", "torch.Tensor.add_ of each use")
def tied_gradients(case):
    gradients = [case.uniform(length) for length in case["lengths"]]
    uses = [[case.uniform(length) for _ in range(count)] for length, count in zip(case["lengths"], case["uses"])]

    def call():
        if case["entry"] == "sum":
            return [sum(use[1:], use[0]) for use in uses]
        for gradient, use in zip(gradients, uses):
            for part in use:
                gradient.add_(part)
        return gradients

    return call


@op("soft-sharing", "value", "strength / 2 * (a - b).square().sum()")
def soft_sharing_value(case):
    a, b = case.uniform(case["length"]), case.uniform(case["length"])
    return lambda: case["strength"] / 2 * (a - b).square().sum()


@op("soft-sharing", "value and gradient", "the same and its backward, added to the gradients")
def soft_sharing_gradient(case):
    a, b = case.uniform(case["length"]).requires_grad_(), case.uniform(case["length"]).requires_grad_()
    a.grad, b.grad = torch.zeros_like(a), torch.zeros_like(b)

    def call():
        with torch.enable_grad():
            (case["strength"] / 2 * (a - b).square().sum()).backward()

    return call
