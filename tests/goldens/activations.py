"""Golden values of activations, upsampling and losses: what PyTorch gives, in double precision, for small tensors.

    /usr/bin/python3 tests/goldens/activations.py > tests/Kernels.Tests/data/goldens/activations.json

Made with PyTorch 1.13 from Debian 12 (python3-torch). Inputs are multiples of 1/8, so that nothing is rounded on the way in; they are
written as eighths. The gradients are those of the sum of the outputs times `dy`; of losses, of the loss.
"""

import json

import torch

SLOPE = 0.2


def numbers(tensor):
    return [float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()]


def eighths(generator, *shape, limit=4):
    return (torch.empty(*shape, dtype=torch.float64).uniform_(-limit, limit, generator=generator) * 8).round() / 8


def in_eighths(tensor):
    return [int(8 * value) for value in tensor.detach().flatten().tolist()]


def elementwise(generator, x, call):
    x = x.clone().requires_grad_()
    y = call(x)
    dy = eighths(generator, *y.shape)
    (dx,) = torch.autograd.grad(y, x, dy)
    return {"x": in_eighths(x), "y": numbers(y), "dy": in_eighths(dy), "dx": numbers(dx)}


def loss(call, *inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    value = call(*inputs)
    return {"inputs": [in_eighths(x) for x in inputs], "value": numbers(value)[0],
            "gradients": [numbers(g) for g in torch.autograd.grad(value, inputs)]}


def main():
    functional = torch.nn.functional
    generator = torch.Generator().manual_seed(20260101)
    x = torch.cat([eighths(generator, 60), torch.tensor([0.0, 0.125, -0.125, 30, -30], dtype=torch.float64)])
    activations = {
        "leaky-relu": elementwise(generator, x, lambda x: functional.leaky_relu(x, SLOPE)),
        "tanh": elementwise(generator, x, torch.tanh),
        "sigmoid": elementwise(generator, x, torch.sigmoid),
    }
    upsamples = [
        {"height": height, "width": width, "factorHeight": factor[0], "factorWidth": factor[1], **elementwise(
            generator, eighths(generator, 2, 3, height, width),
            lambda x: functional.interpolate(x, scale_factor=factor, mode="nearest"))}
        for height, width, factor in ((3, 5, (2, 2)), (2, 8, (2, 2)), (2, 3, (1, 3)), (1, 1, (3, 2)))
    ]
    a, b = eighths(generator, 5, 7), eighths(generator, 5, 7)
    real, generated = eighths(generator, 17), eighths(generator, 23)
    softplus, relu = functional.softplus, torch.relu
    losses = {
        "squared": loss(functional.mse_loss, a, b),
        "discriminator": loss(lambda r, g: softplus(-r).mean() + softplus(g).mean(), real, generated),
        "generator": loss(lambda g: softplus(-g).mean(), generated),
        "hingeDiscriminator": loss(lambda r, g: relu(1 - r).mean() + relu(1 + g).mean(), real, generated),
        "hingeGenerator": loss(lambda g: -g.mean(), generated),
    }
    parts = [("activations", activations), ("upsamples", upsamples), ("losses", losses)]
    print("{" + ",\n".join(f'"{name}": {json.dumps(part)}' for name, part in [("slope", SLOPE), *parts]) + "}")


main()
