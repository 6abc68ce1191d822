"""Augmentation: mixtures of rows and boxes in images."""

import torch
from case import op


@op("mixup", "forward", "shares * x + (1 - shares) * x[partners], as timm and torchvision write it")
def mixup_forward(case):
    x, shares, partners = mixed_rows(case)
    return lambda: x * shares + x[partners] * (1 - shares)


@op("mixup", "backward", "what autograd runs for it: the two products and index_add")
def mixup_backward(case):
    dy, shares, partners = mixed_rows(case)
    return lambda: (dy * shares).index_add_(0, partners, dy * (1 - shares))


@op("cutmix", "forward", "clone, then one slice for each image, as each has a box of its own")
def cutmix_forward(case):
    x, boxes = boxed_images(case)
    partners = torch.randperm(x.shape[0], device=case.device).tolist()

    def paste():
        y = x.clone()
        for image, (box, partner) in enumerate(zip(boxes, partners)):
            y[image][box] = x[partner][box]
        return y

    return paste


@op("cutout", "forward", "clone, then one slice for each image")
def cutout_forward(case):
    x, boxes = boxed_images(case)

    def cut():
        y = x.clone()
        for image, box in enumerate(boxes):
            y[image][box] = 0
        return y

    return cut


def mixed_rows(case):
    rows, run = case["rows"], case["run"]
    shares = torch.rand(rows, 1, device=case.device).to(case.dtype)
    return case.uniform(rows, run), shares, torch.randperm(rows, device=case.device)


def boxed_images(case):
    """Images, and for each a slice of half its height and width."""
    x = case.uniform(*case["shape"])
    last = case["layout"] == "ChannelsLast"
    height, width = x.shape[1:3] if last else x.shape[2:]
    boxes = []
    for top, left in torch.rand(x.shape[0], 2).tolist():
        rows = slice(int(top * height / 2), int(top * height / 2) + height // 2)
        columns = slice(int(left * width / 2), int(left * width / 2) + width // 2)
        boxes.append((rows, columns) if last else (slice(None), rows, columns))
    return x, boxes


@op("random-erase", "forward", "clone, then one slice for each image, as torchvision and timm do")
def random_erase_forward(case):
    x, boxes = boxed_images(case)

    def erase():
        y = x.clone()
        for image, box in enumerate(boxes):
            part = y[image][box]
            if case["noise"] > 0:
                part.normal_()
            else:
                part.zero_()
        return y

    return erase


@op("feature-noise", "forward", "x + factor * deviations[labels] * randn_like(x)")
def feature_noise_forward(case):
    x, deviations = case.uniform(case["rows"], case["run"]), case.uniform(6, case["run"])
    labels = torch.randint(6, (case["rows"],), device=case.device)
    return lambda: x + 0.5 * deviations[labels] * torch.randn_like(x)


@op("feature-interpolate", "forward", "torch.lerp(x, x[neighbours], steps)")
@op("feature-extrapolate", "forward", "torch.lerp(x, x[neighbours], -steps)")
def feature_step_forward(case):
    x = case.uniform(case["rows"], case["run"])
    neighbours = torch.randint(case["rows"], (case["rows"],), device=case.device)
    steps = torch.rand(case["rows"], 1, device=case.device).to(case.dtype)
    return lambda: torch.lerp(x, x[neighbours], steps)


@op("same-class-neighbours", "find", "torch.cdist of each class, then topk")
def same_class_neighbours_find(case):
    rows, wanted = case["rows"], case["wanted"]
    classes = case.uniform(rows, case["run"]).float().chunk(4)
    return lambda: [torch.cdist(rows, rows).topk(wanted + 1, largest=False).indices[:, 1:] for rows in classes]
