"""Golden values of augmentation: affine maps as PyTorch reads them, and the ops of RandAugment as torchvision has them.

    /usr/bin/python3 tests/goldens/augment.py > tests/Kernels.Tests/data/goldens/augment.json

Made with PyTorch 1.13 and torchvision 0.14 from Debian 12 (python3-torch, python3-torchvision). Images of affine maps are multiples of 1/8
in double precision, written as eighths, their matrices multiples of 1/64. Images of ops are bytes.
"""

import itertools
import json

import torch
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import RandAugment, _apply_op

SIZES = [((5, 7), (6, 4)), ((4, 8), (4, 8)), ((6, 3), (1, 5))]
MATRICES = [[0.75, -0.3125, 0.140625, 0.421875, 1.171875, -0.234375], [-1.359375, 0.5, 0.5, 0.15625, 0.859375, 0.703125]]


def numbers(tensor):
    return [float(f"{value:.10g}") for value in tensor.detach().double().flatten().tolist()]


def affine(generator):
    cases = []
    for ((height, width), (rows, columns)), corners, mode, padding in itertools.product(
        SIZES, [False, True], ["bilinear", "nearest"], ["zeros", "border", "reflection"]
    ):
        matrix = torch.tensor(MATRICES[len(cases) % 2], dtype=torch.float64).reshape(1, 2, 3).requires_grad_()
        x = ((torch.rand(1, 2, height, width, generator=generator, dtype=torch.float64) * 32).round() / 8).requires_grad_()
        dy = (torch.rand(1, 2, rows, columns, generator=generator, dtype=torch.float64) * 32).round() / 8 - 2
        grid = affine_grid(matrix, (1, 2, rows, columns), align_corners=corners)
        y = grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)
        dx, dmatrix = torch.autograd.grad(y, (x, matrix), dy)
        cases.append({
            "height": height, "width": width, "rows": rows, "columns": columns, "corners": corners, "nearest": mode == "nearest",
            "border": ["zeros", "border", "reflection"].index(padding), "matrix": matrix.detach().flatten().tolist(),
            "x": [int(8 * value) for value in x.detach().flatten().tolist()], "y": numbers(y),
            "dy": [int(8 * value) for value in dy.flatten().tolist()], "dx": numbers(dx), "dmatrix": numbers(dmatrix),
        })
    return cases


def ops(image):
    cases = []
    height, width = image.shape[1:]
    space = RandAugment()._augmentation_space(31, (height, width))
    for (name, (magnitudes, signed)), magnitude in itertools.product(space.items(), [9, 26]):
        for sign in [1, -1] if signed else [1]:
            value = sign * float(magnitudes[magnitude]) if magnitudes.ndim > 0 else 0.0
            y = _apply_op(image, name, value, interpolation=InterpolationMode.NEAREST, fill=None)
            cases.append({"name": name, "magnitude": magnitude, "sign": sign, "y": y.flatten().tolist()})
    return cases


def main():
    generator = torch.Generator().manual_seed(20260101)
    image = torch.randint(16, 240, (3, 16, 18), generator=generator, dtype=torch.uint8)
    # A smooth image beside noise, so that the sign of a shift or a shear shows.
    image[1] = (torch.arange(16)[:, None] * 8 + torch.arange(18) * 5).to(torch.uint8)
    print(json.dumps({
        "affine": affine(generator), "height": 16, "width": 18, "image": image.flatten().tolist(), "ops": ops(image),
    }, separators=(",", ":")))


if __name__ == "__main__":
    main()
