"""Golden values of convolutions, transposed ones and their gradients: what PyTorch gives, in double precision, for small inputs.

    /usr/bin/python3 tests/goldens/conv2d.py > tests/Kernels.Tests/data/goldens/conv2d.json

Made with PyTorch 1.13 from Debian 12 (python3-torch). Inputs are multiples of 1/8 by a formula that the test has too, so results are
multiples of 1/64, kept as integers, and every order of the sums gives the same. PyTorch pads both sides alike: the others are padded first,
or cut off last.
"""

import json

import torch

# batch, channels, height, width, outputs, filter height and width, groups; stride, dilation, padding at the top, bottom, left and right.
CASES = [
    ((1, 1, 1, 1, 1, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((2, 2, 4, 5, 3, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((1, 2, 5, 6, 2, 3, 3, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((1, 2, 5, 6, 2, 3, 3, 1), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((1, 2, 5, 6, 2, 3, 3, 1), (2, 2), (1, 1), (1, 1, 1, 1)),
    ((1, 2, 6, 6, 2, 3, 3, 1), (2, 2), (1, 1), (0, 1, 0, 1)),
    ((1, 2, 7, 6, 2, 3, 3, 1), (1, 1), (2, 2), (2, 2, 2, 2)),
    ((1, 2, 7, 8, 2, 3, 3, 1), (2, 2), (2, 2), (2, 2, 2, 2)),
    ((1, 2, 7, 8, 2, 3, 3, 1), (3, 3), (2, 2), (1, 1, 1, 1)),
    ((1, 1, 9, 9, 1, 3, 3, 1), (4, 4), (3, 3), (1, 1, 1, 1)),
    ((1, 1, 9, 8, 2, 2, 2, 1), (3, 3), (1, 1), (0, 0, 0, 0)),
    ((1, 1, 7, 7, 2, 1, 1, 1), (2, 2), (1, 1), (0, 0, 0, 0)),
    ((1, 2, 6, 5, 2, 1, 3, 1), (1, 1), (1, 1), (0, 0, 1, 1)),
    ((1, 2, 6, 5, 2, 3, 1, 1), (1, 1), (1, 1), (1, 1, 0, 0)),
    ((1, 2, 6, 7, 2, 2, 4, 1), (1, 1), (1, 1), (1, 0, 2, 1)),
    ((1, 1, 6, 7, 1, 2, 3, 1), (2, 3), (1, 2), (0, 1, 2, 0)),
    ((1, 1, 8, 7, 1, 5, 5, 1), (1, 1), (1, 1), (2, 2, 2, 2)),
    ((1, 1, 11, 10, 1, 7, 7, 1), (2, 2), (1, 1), (3, 3, 3, 3)),
    ((1, 1, 3, 3, 1, 3, 3, 1), (1, 1), (1, 1), (2, 2, 2, 2)),
    ((1, 1, 2, 2, 1, 5, 5, 1), (1, 1), (1, 1), (2, 2, 2, 2)),
    ((1, 4, 5, 4, 4, 3, 3, 2), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((1, 4, 5, 5, 6, 3, 3, 2), (2, 2), (1, 1), (1, 1, 1, 1)),
    ((1, 6, 4, 4, 3, 2, 2, 3), (1, 1), (1, 1), (0, 1, 0, 1)),
    ((1, 3, 5, 6, 3, 3, 3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((1, 3, 5, 6, 6, 3, 3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((1, 3, 7, 6, 3, 3, 3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
    ((1, 3, 6, 7, 3, 5, 5, 3), (2, 2), (1, 1), (2, 2, 2, 2)),
    ((1, 2, 7, 7, 4, 3, 3, 2), (1, 2), (2, 1), (2, 2, 0, 1)),
    ((3, 1, 2, 3, 2, 2, 2, 1), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((2, 3, 1, 9, 2, 1, 4, 1), (1, 2), (1, 2), (0, 0, 3, 2)),
]

# batch, inputs, height, width, outputs, filter height and width, groups; stride, dilation, padding as above, output padding.
TRANSPOSED = [
    ((1, 1, 1, 1, 1, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (0, 0)),
    ((2, 2, 3, 4, 3, 3, 3, 1), (1, 1), (1, 1), (1, 1, 1, 1), (0, 0)),
    ((1, 2, 3, 4, 2, 2, 2, 1), (2, 2), (1, 1), (0, 0, 0, 0), (0, 0)),
    ((1, 2, 3, 4, 2, 3, 3, 1), (2, 2), (1, 1), (1, 1, 1, 1), (1, 1)),
    ((1, 2, 3, 3, 2, 4, 4, 1), (2, 2), (1, 1), (1, 1, 1, 1), (0, 0)),
    ((1, 1, 2, 3, 2, 3, 2, 1), (3, 2), (1, 1), (1, 1, 0, 0), (2, 1)),
    ((1, 1, 3, 2, 1, 2, 2, 1), (3, 3), (1, 1), (0, 0, 0, 0), (1, 2)),
    ((1, 2, 3, 4, 1, 3, 3, 1), (1, 1), (2, 2), (2, 2, 2, 2), (0, 0)),
    ((1, 1, 4, 3, 2, 3, 3, 1), (2, 2), (2, 2), (2, 2, 2, 2), (1, 1)),
    ((1, 1, 4, 3, 1, 2, 3, 1), (2, 3), (1, 2), (0, 1, 2, 0), (1, 2)),
    ((1, 4, 3, 3, 6, 3, 3, 2), (2, 2), (1, 1), (1, 1, 1, 1), (1, 1)),
    ((1, 3, 4, 3, 3, 3, 3, 3), (2, 2), (1, 1), (1, 1, 1, 1), (0, 1)),
    ((1, 3, 3, 3, 6, 2, 3, 3), (1, 2), (2, 1), (1, 0, 1, 1), (0, 0)),
]


def values(number, shape):
    """The inputs: number 0 to 3 are x, filter, bias and the output's gradient."""
    count = torch.Size(shape).numel()
    return torch.tensor([((37 * i + 11 * number + i // 5) % 17 - 8) / 8 for i in range(count)], dtype=torch.float64).reshape(shape)


def integers(tensor):
    scaled = tensor.detach() * 64
    assert bool((scaled == scaled.round()).all())
    return [int(value) for value in scaled.flatten().tolist()]


def convolved(x, weight, bias, stride, dilation, padding, groups):
    top, bottom, left, right = padding
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, dilation, groups)


def spread(x, weight, bias, stride, dilation, padding, groups, more):
    top, bottom, left, right = padding
    y = torch.nn.functional.conv_transpose2d(x, weight, bias, stride, 0, more, groups, dilation)
    return y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]


def golden(layer, shapes, groups, stride, dilation, padding, more=None):
    x, weight, bias = [values(number, shape).requires_grad_() for number, shape in enumerate(shapes)]
    y = layer(x, weight, bias, stride, dilation, padding, groups, *([] if more is None else [more]))
    gradients = torch.autograd.grad(y, [x, weight, bias], values(3, y.shape))
    case = {"x": list(x.shape), "filter": list(weight.shape), "groups": groups}
    case.update({"stride": list(stride), "dilation": list(dilation), "padding": list(padding)})
    if more is not None:
        case["outputPadding"] = list(more)
    case.update({"yShape": list(y.shape), "y": integers(y)})
    case.update(zip(["dx", "dFilter", "dBias"], map(integers, gradients)))
    return case


def main():
    cases = []
    for (batch, channels, height, width, outputs, rows, columns, groups), *settings in CASES:
        shapes = [batch, channels, height, width], [outputs, channels // groups, rows, columns], [outputs]
        cases.append(golden(convolved, shapes, groups, *settings))
    for (batch, inputs, height, width, outputs, rows, columns, groups), *settings in TRANSPOSED:
        shapes = [batch, inputs, height, width], [inputs, outputs // groups, rows, columns], [outputs]
        cases.append(golden(spread, shapes, groups, *settings))
    print("[" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "]")


if __name__ == "__main__":
    main()
