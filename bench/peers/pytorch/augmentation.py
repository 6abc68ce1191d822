"""Augmentation: mixtures of rows and boxes in images."""

import math

import torch
from case import gradient, op, require
from registry import policy_of


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


@op("differentiable-augment", "forward", "the tensor ops of DiffAugment: colours, shift by index, mask")
def differentiable_augment_forward(case):
    images = case.uniform(*case["shape"])
    return lambda: differentiable_augment(images, case["probability"])


@op("differentiable-augment", "backward", "autograd through the tensor ops of DiffAugment")
def differentiable_augment_backward(case):
    return gradient([case.uniform(*case["shape"])], lambda images: differentiable_augment(images, case["probability"]))


def differentiable_augment(images, probability):
    """Draws and applies; each transform takes place with a probability, of each image on its own."""
    batch, _, height, width = images.shape

    def factor(low, high, off):
        drawn = torch.rand(batch, 1, 1, 1, device=images.device) * (high - low) + low
        fires = torch.rand(batch, 1, 1, 1, device=images.device) < probability
        return torch.where(fires, drawn, torch.full_like(drawn, off)).to(images.dtype)

    def whole(bound):
        return torch.randint(bound, (batch, 1, 1), device=images.device)

    images = images + factor(-0.5, 0.5, 0)
    mean = images.mean(dim=1, keepdim=True)
    images = (images - mean) * factor(0, 2, 1) + mean
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * factor(0.5, 1.5, 1) + mean
    down, across = int(height * 0.125 + 0.5), int(width * 0.125 + 0.5)
    fires = torch.rand(batch, 1, 1, device=images.device) < probability
    rows = torch.arange(height, device=images.device).view(1, height, 1) + (whole(2 * down + 1) - down) * fires + 1
    columns = torch.arange(width, device=images.device).view(1, 1, width) + (whole(2 * across + 1) - across) * fires + 1
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    place = torch.arange(batch, device=images.device).view(batch, 1, 1)
    images = padded[place, rows.clamp(0, height + 1), columns.clamp(0, width + 1)].permute(0, 3, 1, 2)
    mask = torch.ones(batch, height, width, dtype=images.dtype, device=images.device)
    tall, wide = int(height * 0.5 + 0.5), int(width * 0.5 + 0.5)
    rows = torch.arange(tall, device=images.device).view(1, tall, 1) + whole(height + 1 - tall % 2) - tall // 2
    columns = torch.arange(wide, device=images.device).view(1, 1, wide) + whole(width + 1 - wide % 2) - wide // 2
    mask[place, rows.clamp(0, height - 1), columns.clamp(0, width - 1)] = 0
    cut = torch.rand(batch, 1, 1, device=images.device) < probability
    return images * torch.where(cut, mask, torch.ones_like(mask)).unsqueeze(1)


@op("augment", "forward", "affine_grid, grid_sample (or pad and index), colours in place, normalization, masked_fill")
def augment_forward(case):
    policy, options = policy_of(case), case["options"]
    samples, channels, height, width = case["shape"]
    require(channels == 3 and case["bytes8"], "written for bytes of three channels")
    images = torch.randint(256, (samples, channels, height, width), dtype=torch.uint8, device=case.device)
    rows, columns = case["out"]["height"], case["out"]["width"]
    means, deviations = (
        torch.tensor(options[name] or [default], device=case.device).view(1, -1, 1, 1) for name, default in (("mean", 0), ("deviation", 1))
    )
    greys = torch.tensor([0.2989, 0.587, 0.114], device=case.device).view(1, 3, 1, 1)

    def uniform(low, high):
        return torch.empty(samples, device=case.device).uniform_(low, high)

    def drawn(setting):
        return uniform(policy[setting]["low"], policy[setting]["high"])

    def whole(bound):
        return torch.randint(bound, (samples, 1, 1), device=case.device)

    def flips():
        return torch.rand(samples, device=case.device) < policy["horizontalFlip"]

    def windows():
        pad = policy["padding"]
        sides = (pad["left"], pad["right"], pad["top"], pad["bottom"])
        padded = torch.nn.functional.pad(images, sides) if any(sides) else images
        across = torch.arange(columns, device=case.device).view(1, 1, columns)
        across = torch.where(flips().view(samples, 1, 1), columns - 1 - across, across)
        across = across + whole(padded.shape[3] - columns + 1)
        down = torch.arange(rows, device=case.device).view(1, rows, 1) + whole(padded.shape[2] - rows + 1)
        sample = torch.arange(samples, device=case.device).view(samples, 1, 1, 1)
        channel = torch.arange(channels, device=case.device).view(1, channels, 1, 1)
        return padded[sample, channel, down.unsqueeze(1), across.unsqueeze(1)].float()

    def warped():
        """A window of random area and aspect, flip and rotation as one map in normalized coordinates."""
        area, aspect = drawn("area"), uniform(math.log(policy["aspect"]["low"]), math.log(policy["aspect"]["high"])).exp()
        wide, tall = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
        angle = torch.deg2rad(drawn("rotation"))
        a = torch.where(flips(), -wide, wide)
        x, y = uniform(-1, 1) * (1 - wide), uniform(-1, 1) * (1 - tall)
        maps = torch.stack([a * angle.cos(), -a * angle.sin(), x, tall * angle.sin(), tall * angle.cos(), y], 1).view(samples, 2, 3)
        grid = torch.nn.functional.affine_grid(maps, (samples, channels, rows, columns), align_corners=False)
        return torch.nn.functional.grid_sample(images.float(), grid, align_corners=False)

    def augment():
        y = windows() if policy["crop"] == "Window" else warped()
        if any(policy[setting] != {"low": 1, "high": 1} for setting in ("brightness", "contrast", "saturation")):
            brightness, contrast, saturation = (drawn(name).view(-1, 1, 1, 1) for name in ("brightness", "contrast", "saturation"))
            y.mul_(brightness).clamp_(0, 255)
            mean = (y.mean((2, 3), keepdim=True) * greys).sum(1, keepdim=True)
            y.mul_(contrast).add_((1 - contrast) * mean).clamp_(0, 255)
            grey = (y * greys).sum(1, keepdim=True)
            y.mul_(saturation).add_(grey.mul_(1 - saturation)).clamp_(0, 255)
        y.div_(255 * deviations).sub_(means / deviations)
        if policy["cutout"]:
            tall, wide = policy["cutoutSize"]["height"], policy["cutoutSize"]["width"]
            down = torch.arange(rows, device=case.device).view(1, rows, 1) - whole(rows) + tall // 2
            across = torch.arange(columns, device=case.device).view(1, 1, columns) - whole(columns) + wide // 2
            box = (down >= 0) & (down < tall) & (across >= 0) & (across < wide)
            box &= (torch.rand(samples, 1, 1, device=case.device) < policy["cutout"])
            y.masked_fill_(box.unsqueeze(1), 0)
        return y.to(case.dtype)

    return augment
