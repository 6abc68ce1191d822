"""Golden values of pooling: what PyTorch gives, in double precision, for small maps.

    /usr/bin/python3 tests/goldens/pool2d.py > tests/Kernels.Tests/data/goldens/pool2d.json

Made with PyTorch 1.13 from Debian 12 (python3-torch). Inputs are multiples of 1/8, so that windows of max pooling have ties and nothing
is rounded on the way in; they are written as eighths. The gradient is that of the sum of the outputs times `dy`.
"""

import itertools
import json

import torch

BATCH, CHANNELS = 1, 2


def numbers(tensor):
    """Twelve digits; JSON has no NaN or infinity, so they are named."""
    values = [float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()]
    return [{"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), value) for value in values]


def eighths(generator, *shape, limit=2):
    return (torch.empty(*shape, dtype=torch.float64).uniform_(-limit, limit, generator=generator) * 8).round() / 8


def in_eighths(tensor):
    return [int(8 * value) for value in tensor.detach().flatten().tolist()]


def run(generator, x, call):
    """Output and gradient; the indices where there are some, as places in the map."""
    x = x.clone().requires_grad_()
    result = call(x)
    y, indices = result if isinstance(result, tuple) else (result, None)
    dy = eighths(generator, *y.shape)
    (dx,) = torch.autograd.grad(y, x, dy)
    values = {"outputHeight": y.shape[2], "outputWidth": y.shape[3], "y": numbers(y), "dy": in_eighths(dy), "dx": numbers(dx)}
    return values if indices is None else {**values, "places": indices.flatten().tolist()}


def main():
    generator = torch.Generator().manual_seed(20260101)
    maximum, average = [], []
    # Height, width, window, stride, padding, dilation: each with and without ceil mode.
    lattice = [
        (6, 8, (2, 2), (2, 2), (0, 0), (1, 1)),
        (7, 9, (2, 2), (2, 2), (0, 0), (1, 1)),
        (7, 9, (3, 3), (2, 2), (1, 1), (1, 1)),
        (8, 8, (3, 3), (2, 2), (1, 1), (1, 1)),
        (5, 6, (3, 3), (1, 1), (1, 1), (1, 1)),
        (8, 7, (2, 3), (3, 2), (1, 0), (1, 1)),
        (6, 7, (5, 4), (2, 3), (2, 2), (1, 1)),
        (9, 10, (2, 3), (2, 1), (1, 1), (3, 2)),
        (4, 4, (1, 1), (3, 3), (0, 0), (1, 1)),
        (3, 5, (3, 5), (1, 1), (0, 0), (1, 1)),
    ]
    for (height, width, window, stride, padding, dilation), ceil in itertools.product(lattice, [False, True]):
        case = {
            "height": height, "width": width, "windowHeight": window[0], "windowWidth": window[1], "strideHeight": stride[0],
            "strideWidth": stride[1], "paddingHeight": padding[0], "paddingWidth": padding[1], "dilationHeight": dilation[0],
            "dilationWidth": dilation[1], "ceil": ceil,
        }
        x = eighths(generator, BATCH, CHANNELS, height, width, limit=1)
        result = run(generator, x, lambda x: torch.nn.functional.max_pool2d(
            x, window, stride, padding, dilation, ceil, return_indices=True))
        maximum.append({**case, "x": in_eighths(x), **result})
        if dilation != (1, 1):
            continue  # PyTorch's average has none
        for counts, divisor in ((True, None), (False, None), (True, 3)):
            x = eighths(generator, BATCH, CHANNELS, height, width)
            result = run(generator, x, lambda x: torch.nn.functional.avg_pool2d(x, window, stride, padding, ceil, counts, divisor))
            average.append({**case, "countsPadding": counts, "divisor": divisor, "x": in_eighths(x), **result})

    nan, inf = float("nan"), float("inf")
    special = torch.tensor([[0, nan, 1, nan, -inf, -inf, inf, 2, 5, 5], [3, 1, nan, 2, -inf, -inf, inf, inf, 5, 5]], dtype=torch.float64)
    y, places = torch.nn.functional.max_pool2d(special.reshape(1, 1, 2, 10), 2, return_indices=True)
    special = {"x": numbers(special), "y": numbers(y), "places": places.flatten().tolist()}
    # y of 1 to 5 in windows of two: the divisor of the last is that of what it has, not of what it hangs over.
    line = torch.arange(1, 6, dtype=torch.float64).reshape(1, 1, 1, 5)
    overhang = numbers(torch.nn.functional.avg_pool2d(line, (1, 2), ceil_mode=True))
    facts = {"batch": BATCH, "channels": CHANNELS, "special": special, "overhang": overhang}
    lines = [f'"{name}": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]" for name, cases in (("maximum", maximum), ("average", average))]
    print("{" + ",\n".join([json.dumps(facts)[1:-1], *lines]) + "}")


main()
