"""Golden values of cross-entropy and entropy: what PyTorch gives, in double precision, for small inputs.

    /usr/bin/python3 tests/goldens/cross_entropy.py > tests/Kernels.Tests/data/goldens/cross_entropy.json

Made with PyTorch 1.13 from Debian 12 (python3-torch). Gradients are those of the loss, of the losses' sum where they are not reduced.
"""

import itertools
import json

import torch

ROWS, CLASSES, IGNORED = 5, 7, 2


def numbers(tensor):
    """Twelve digits; JSON has no NaN or infinity, so they are named."""
    values = [float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()]
    return [{"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), value) for value in values]


def cross_entropy(logits, target, **options):
    logits = logits.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits, target, **options)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return {"loss": numbers(loss), "gradient": numbers(gradient)}


def entropy(logits, slopes):
    logits = logits.clone().requires_grad_()
    values = torch.distributions.Categorical(logits=logits).entropy()
    (gradient,) = torch.autograd.grad(values, logits, slopes)
    return {"loss": numbers(values), "gradient": numbers(gradient)}


def main():
    generator = torch.Generator().manual_seed(20260101)
    logits = torch.empty(ROWS, CLASSES, dtype=torch.float64).uniform_(-3, 3, generator=generator)
    # Multiples of 1/64 are the same in float and in double.
    logits = (logits * 64).round() / 64
    weights = torch.tensor([0.5, 1, 2, 0.25, 1.5, 1, 0.75], dtype=torch.float64)
    labels = torch.tensor([3, 2, 0, 6, 2])
    soft = torch.rand(ROWS, CLASSES, dtype=torch.float64, generator=generator)
    soft = (soft / soft.sum(1, keepdim=True) * 256).round() / 256
    slopes = torch.tensor([1, -0.5, 2, 0.25, -1], dtype=torch.float64)

    cases = []
    for weighted, ignores, smoothing, reduction, kind in itertools.product(
        [False, True], [False, True], [0.0, 0.125], ["None", "Sum", "Mean"], ["hard", "soft"]
    ):
        if kind == "soft" and ignores:
            continue  # refused by PyTorch, see below
        options = {"weight": weights if weighted else None, "label_smoothing": smoothing, "reduction": reduction.lower()}
        if ignores:
            options["ignore_index"] = IGNORED
        case = {"weights": weighted, "ignore": ignores, "smoothing": smoothing, "reduction": reduction, "targets": kind}
        cases.append({**case, **cross_entropy(logits, labels if kind == "hard" else soft, **options)})

    masked = logits.clone()
    masked[:, 4] = -torch.inf
    all_ignored = torch.full((ROWS,), -100)
    try:
        torch.nn.functional.cross_entropy(logits, soft, ignore_index=IGNORED)
        soft_ignore = "accepted"
    except RuntimeError as error:
        soft_ignore = str(error).split("\n")[0]

    print(json.dumps({
        "torch": torch.__version__,
        "rows": ROWS, "classes": CLASSES, "ignored": IGNORED,
        "logits": numbers(logits), "classWeights": numbers(weights), "labels": labels.tolist(),
        "soft": numbers(soft), "slopes": numbers(slopes),
        "cases": cases,
        "entropy": entropy(logits, slopes),
        "allIgnored": cross_entropy(logits, all_ignored, reduction="mean"),
        "maskedPlain": cross_entropy(masked, labels, reduction="mean"),
        "maskedSmoothed": cross_entropy(masked, labels, reduction="mean", label_smoothing=0.125),
        "oneHotWeighted": cross_entropy(
            logits, torch.nn.functional.one_hot(labels, CLASSES).double(), reduction="mean", weight=weights),
        "softIgnore": soft_ignore,
    }, separators=(",", ":")).replace('},{', '},\n{'))


if __name__ == "__main__":
    main()
