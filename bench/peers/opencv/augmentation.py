"""Augmentation of images as OpenCV has them, bytes of interleaved channels, into planes of normalized floats."""

import cv2
import numpy as np
from registry import op, policy_of, require

LEVELS = np.arange(256, dtype=np.float32)


@op("augment", "forward", "each image: warpAffine (or a slice and flip), LUT and addWeighted for colours, split, LUT to floats")
def augment_forward(case):
    policy = policy_of(case)
    require(case.dtype == "f32", "tables of float only")
    samples, channels, height, width = case["shape"]
    require(channels == 3 and case["bytes8"], "written for bytes of three channels")
    rows, columns = case["out"]["height"], case["out"]["width"]
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (samples, height, width, 3), dtype=np.uint8)
    results = np.empty((samples, 3, rows, columns), dtype=np.float32)
    options = case["options"]
    means, deviations = options["mean"] or [0] * 3, options["deviation"] or [1] * 3
    tables = [((LEVELS / 255 - mean) / deviation).astype(np.float32) for mean, deviation in zip(means, deviations)]
    pad, edge = policy["padding"], policy["cutoutSize"]

    def uniform(setting):
        return generator.uniform(policy[setting]["low"], policy[setting]["high"], samples)

    def windows():
        """Places in the padded image, and whether they are flipped; nothing is turned or stretched."""
        tops = generator.integers(0, height + pad["top"] + pad["bottom"] - rows + 1, samples)
        lefts = generator.integers(0, width + pad["left"] + pad["right"] - columns + 1, samples)
        return zip(tops.tolist(), lefts.tolist(), flips().tolist())

    def flips():
        return generator.random(samples) < policy["horizontalFlip"]

    def matrices():
        """From pixels of the output to those of the image: a window of random area and aspect, flip and rotation in one."""
        area, aspect = uniform("area"), np.exp(generator.uniform(*np.log([policy["aspect"]["low"], policy["aspect"]["high"]]), samples))
        wide, tall = np.minimum(1, np.sqrt(area * aspect)), np.minimum(1, np.sqrt(area / aspect))
        x = generator.uniform(-1, 1, samples) * (1 - wide) * width / 2 + (width - 1) / 2
        y = generator.uniform(-1, 1, samples) * (1 - tall) * height / 2 + (height - 1) / 2
        angle = np.radians(uniform("rotation"))
        a, e = wide * width / columns * np.where(flips(), -1, 1), tall * height / rows
        made = np.empty((samples, 2, 3))
        made[:, 0, 0], made[:, 0, 1] = a * np.cos(angle), -a * np.sin(angle)
        made[:, 1, 0], made[:, 1, 1] = e * np.sin(angle), e * np.cos(angle)
        made[:, :, 2] = np.stack([x, y], 1) - made[:, :, :2] @ [(columns - 1) / 2, (rows - 1) / 2]
        return made

    def window(image, place):
        top, left, flipped = place
        if any(pad.values()):
            image = cv2.copyMakeBorder(image, pad["top"], pad["bottom"], pad["left"], pad["right"], cv2.BORDER_CONSTANT)
        image = image[top : top + rows, left : left + columns]
        return cv2.flip(image, 1) if flipped else image

    def warped(image, matrix):
        return cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def colored(image, brightness, contrast, saturation):
        image = cv2.LUT(image, level(brightness * LEVELS))
        grey = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
        image = cv2.LUT(image, level(contrast * LEVELS + (1 - contrast) * grey))
        greys = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(image, saturation, greys, 1 - saturation, 0)

    is_window = policy["crop"] == "Window"
    has_colors = any(policy[setting] != {"low": 1, "high": 1} for setting in ("brightness", "contrast", "saturation"))

    def one(image, place, colors, box, result):
        image = window(image, place) if is_window else warped(image, place)
        if has_colors:
            image = colored(image, *colors)
        for plane, table, target in zip(cv2.split(image), tables, result):
            cv2.LUT(plane, table, target)
        if box is not None:
            top, left = box
            result[:, max(0, top) : top + edge["height"], max(0, left) : left + edge["width"]] = 0

    def boxes():
        places = generator.integers(0, [rows, columns], (samples, 2)) - [edge["height"] // 2, edge["width"] // 2]
        cut = generator.random(samples) < policy["cutout"]
        return [place if is_cut else None for place, is_cut in zip(places.tolist(), cut.tolist())]

    def augment():
        colors = zip(*(uniform(setting).tolist() for setting in ("brightness", "contrast", "saturation")))
        for _ in case.pool.map(one, images, windows() if is_window else matrices(), colors, boxes(), results):
            pass
        return results

    return augment


def level(values):
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
