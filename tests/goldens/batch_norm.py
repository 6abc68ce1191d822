"""Golden values of batch normalization: what PyTorch gives, in double precision, for small inputs.

    /usr/bin/python3 tests/goldens/batch_norm.py > tests/Kernels.Tests/data/goldens/batch_norm.json

Made with PyTorch 1.13 from Debian 12 (python3-torch). Gradients are those of the sum of weight * y.
"""

import itertools
import json

import torch

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 3), (2, 2, 2, 3, 2)]


def numbers(tensor):
    return [float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()]


def uniform(generator, *shape):
    """Multiples of 1/64, which are the same in float and in double."""
    values = torch.empty(*shape, dtype=torch.float64).uniform_(-2, 2, generator=generator)
    return (values * 64).round() / 64


def case(generator, shape, affine, momentum, training):
    channels = shape[1]
    x, dy = uniform(generator, *shape).requires_grad_(), uniform(generator, *shape)
    gamma = uniform(generator, channels).requires_grad_() if affine else None
    beta = uniform(generator, channels).requires_grad_() if affine else None
    mean, variance = uniform(generator, channels), uniform(generator, channels).abs() + 0.5
    before = {"runningMean": numbers(mean), "runningVariance": numbers(variance)}
    y = torch.nn.functional.batch_norm(x, mean, variance, gamma, beta, training, momentum, 1e-5)
    result = {
        "shape": shape, "training": training, "momentum": momentum, "x": numbers(x), "dy": numbers(dy),
        "gamma": numbers(gamma) if affine else None, "beta": numbers(beta) if affine else None, **before,
        "y": numbers(y), "newRunningMean": numbers(mean), "newRunningVariance": numbers(variance),
    }
    if training:
        gradients = torch.autograd.grad(y, [x] + ([gamma, beta] if affine else []), dy)
        result["dx"] = numbers(gradients[0])
        result["dgamma"], result["dbeta"] = (numbers(gradients[1]), numbers(gradients[2])) if affine else (None, None)
    return result


def refusal():
    try:
        torch.nn.functional.batch_norm(torch.ones(1, 3), None, None, training=True)
        return "accepted"
    except ValueError as error:
        return str(error).split("\n")[0]


def main():
    generator = torch.Generator().manual_seed(20260101)
    cases = [
        case(generator, shape, affine, momentum, training)
        for shape, affine, (momentum, training) in itertools.product(SHAPES, [False, True], [(0.1, True), (0.25, True), (0.1, False)])
    ]
    print(json.dumps({"torch": torch.__version__, "cases": cases, "oneValue": refusal()}, separators=(",", ":"))
          .replace('},{', '},\n{'))


if __name__ == "__main__":
    main()
