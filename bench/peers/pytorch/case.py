"""What the functions of this folder are made with: the registry of ops and the problem of a case."""

import torch
from registry import OPS, Unsupported, op, require  # what the modules of ops are made with


class Case:
    """A problem of the case table: its settings by name, and tensors on the device in its data type."""

    def __init__(self, request, device):
        self.settings = request["problem"]
        self.device = device
        self.dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}[request["dtype"]]

    def __getitem__(self, name):
        return self.settings[name]

    def uniform(self, *shape, low=-2.0, high=2.0):
        values = torch.empty(*shape, dtype=torch.float32, device=self.device).uniform_(low, high)
        return values.to(self.dtype)

    def labels(self, count, classes):
        return torch.randint(classes, (count,), device=self.device)


def gradient(inputs, forward):
    """A call that times the backward pass alone: the graph of one forward pass is kept."""
    for x in inputs:
        x.requires_grad_()
    with torch.enable_grad():
        y = forward(*inputs)
    dy = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)
