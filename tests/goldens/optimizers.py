#!/usr/bin/env python3
"""Makes tests/Kernels.Tests/data/goldens/optimizers.json: a hundred steps of PyTorch's optimizers in double precision, with every
setting that ours share.

    python3 tests/goldens/optimizers.py > tests/Kernels.Tests/data/goldens/optimizers.json

Weights and gradients are made by a rule that needs no generator, so that a test makes the same ones: element i of tensor t at step s is
sin(0.7 i + 1.3 t + 0.31 s + c). Written for PyTorch 1.13. Lion is not in PyTorch; its row is the paper's algorithm, written out with
PyTorch's tensors.
"""

import json
import math

import torch

LENGTHS = [1, 5, 3]
STEPS = 100


def values(length, tensor, step, c):
    return torch.tensor([math.sin(0.7 * i + 1.3 * tensor + 0.31 * step + c) for i in range(length)], dtype=torch.float64)


def gradient(weight, tensor, step):
    """Moving targets keep every term of every rule alive for a hundred steps."""
    return 0.5 * weight + values(len(weight), tensor, step, 0.9)


class Lion(torch.optim.Optimizer):
    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for weight in group["params"]:
                moment = self.state[weight].setdefault("moment", torch.zeros_like(weight))
                weight.data.mul_(1 - group["lr"] * group["weight_decay"])
                weight.data.sub_(torch.sign(first * moment + (1 - first) * weight.grad), alpha=group["lr"])
                moment.mul_(second).add_(weight.grad, alpha=1 - second)


def run(kind, clip=0.0, **settings):
    weights = [torch.nn.Parameter(values(length, t, 0, 0.2)) for t, length in enumerate(LENGTHS)]
    optimizer = kind(weights, **settings)
    snapshots = {}
    for step in range(1, STEPS + 1):
        for t, weight in enumerate(weights):
            weight.grad = gradient(weight.detach(), t, step)
        if clip:
            torch.nn.utils.clip_grad_norm_(weights, clip)
        optimizer.step()
        if step in (1, 2, 10, STEPS):
            snapshots[str(step)] = [round(x, 15) for weight in weights for x in weight.detach().tolist()]
    return snapshots


def main():
    sgd, adam, adamw, rmsprop = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop
    rows = [
        ("sgd", "plain", run(sgd, lr=0.05)),
        ("sgd", "decay", run(sgd, lr=0.05, weight_decay=0.1)),
        ("sgd", "momentum", run(sgd, lr=0.05, momentum=0.9, weight_decay=0.1)),
        ("sgd", "dampening", run(sgd, lr=0.05, momentum=0.9, dampening=0.3)),
        ("sgd", "nesterov", run(sgd, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1)),
        ("sgd", "clipped", run(sgd, clip=0.7, lr=0.05, momentum=0.9)),
        ("adam", "plain", run(adam, lr=0.02)),
        ("adam", "decay", run(adam, lr=0.02, weight_decay=0.1)),
        ("adam", "betas", run(adam, lr=0.02, betas=(0.5, 0.8), eps=1e-3)),
        ("adam", "amsgrad", run(adam, lr=0.02, amsgrad=True)),
        ("adam", "clipped", run(adam, clip=0.7, lr=0.02)),
        ("adamw", "plain", run(adamw, lr=0.02)),
        ("adamw", "decay", run(adamw, lr=0.02, weight_decay=0.1)),
        ("adamw", "amsgrad", run(adamw, lr=0.02, amsgrad=True, weight_decay=0.1)),
        ("rmsprop", "plain", run(rmsprop, lr=0.01)),
        ("rmsprop", "decay", run(rmsprop, lr=0.01, weight_decay=0.1)),
        ("rmsprop", "momentum", run(rmsprop, lr=0.01, momentum=0.9, alpha=0.9)),
        ("rmsprop", "centered", run(rmsprop, lr=0.01, centered=True, momentum=0.5)),
        ("lion", "plain", run(Lion, lr=0.01, betas=(0.9, 0.99), weight_decay=0.0)),
        ("lion", "decay", run(Lion, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)),
    ]
    print("[")
    print(",\n".join(json.dumps({"op": op, "settings": settings, "weights": weights}) for op, settings, weights in rows))
    print("]")


if __name__ == "__main__":
    main()
