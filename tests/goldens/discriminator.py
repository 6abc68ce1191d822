"""Golden values of what trains a discriminator: what PyTorch gives, in double precision, for small tensors.

    /usr/bin/python3 tests/goldens/discriminator.py > tests/Kernels.Tests/data/goldens/discriminator.json

Made with PyTorch 1.13 from Debian 12 (python3-torch). Spectral normalization is `torch.nn.utils.parametrizations.spectral_norm`; the
minibatch standard deviation and the colours of differentiable augmentation are written with tensor ops, as their papers define them.
Inputs are multiples of 1/8 and written as eighths. Gradients are those of the sum of the outputs times `dy`.
"""

import json

import torch


def numbers(tensor):
    return [float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()]


def eighths(generator, *shape, limit=2):
    return (torch.empty(*shape, dtype=torch.float64).uniform_(-limit, limit, generator=generator) * 8).round() / 8


def in_eighths(tensor):
    return [int(8 * value) for value in tensor.detach().flatten().tolist()]


def with_gradient(generator, x, call):
    x = x.clone().requires_grad_()
    y = call(x)
    dy = eighths(generator, *y.shape)
    (dx,) = torch.autograd.grad(y, x, dy)
    return {"shape": list(x.shape), "x": in_eighths(x), "y": numbers(y), "dy": in_eighths(dy), "dx": numbers(dx)}


def spectral_norm(generator, shape, iterations):
    """One training call from a given v; then one that does not iterate, as in evaluation, must give the same."""
    weight = eighths(generator, *shape)
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(weight.clone())
    torch.nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=iterations)
    normalization = layer.parametrizations.weight[0]
    v = eighths(generator, normalization._v.numel())
    normalization._v.copy_(v)
    y = layer.weight
    dy = eighths(generator, *shape)
    (dweight,) = torch.autograd.grad(y, layer.parametrizations.weight.original, dy)
    u, new_v = normalization._u, normalization._v
    layer.eval()
    assert torch.allclose(layer.weight, y)
    return {
        "shape": list(shape), "iterations": iterations, "weight": in_eighths(weight), "v": in_eighths(v), "u": numbers(u),
        "newV": numbers(new_v), "y": numbers(y), "dy": in_eighths(dy), "dweight": numbers(dweight),
    }


def deviation(x, group_size):
    """Karras et al. 2018, with the sets of StyleGAN: samples that lie batch / group_size apart."""
    sets = x.reshape(group_size, -1, *x.shape[1:])
    roots = (sets.var(dim=0, unbiased=False) + 1e-8).sqrt()
    means = roots.flatten(1).mean(dim=1)
    column = means.repeat(group_size).reshape(-1, 1, *[1] * (x.dim() - 2))
    return torch.cat([x, column.expand(-1, 1, *x.shape[2:])], dim=1)


def colors(x, brightness, saturation, contrast):
    """Zhao et al. 2020."""
    x = x + brightness
    mean = x.mean(dim=1, keepdim=True)
    x = (x - mean) * saturation + mean
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * contrast + mean


def main():
    generator = torch.Generator().manual_seed(13)
    result = {
        "spectralNorm": [spectral_norm(generator, (3, 5), 1), spectral_norm(generator, (4, 2, 3, 3), 3)],
        "deviation": [
            {"groupSize": size, **with_gradient(generator, eighths(generator, *shape), lambda x: deviation(x, size))}
            for shape, size in [((6, 4), 3), ((4, 2, 3, 2), 2)]
        ],
        "colors": [
            {
                "brightness": brightness, "saturation": saturation, "contrast": contrast,
                **with_gradient(generator, eighths(generator, 2, 3, 3, 4), lambda x: colors(x, brightness, saturation, contrast)),
            }
            for brightness, saturation, contrast in [(0.25, 1.5, 0.75), (-0.5, 0, 1.25)]
        ],
    }
    print(json.dumps(result, separators=(",", ":")))


main()
