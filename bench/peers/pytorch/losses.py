"""Losses of logits."""

import torch
from case import op, require


def cross_entropy(case, reduction):
    """The logits, and the loss as users of PyTorch write it; what PyTorch has no argument for is composed."""
    require(case["smoothing"] == 0 or case["convention"] == "AllClasses", "torch.nn.functional.cross_entropy smooths over all classes")
    rows, classes = case["rows"], case["classes"]
    logits = case.uniform(rows, classes, low=-3, high=3)
    weights = case.uniform(classes, low=0.25, high=2) if case["hasWeights"] else None
    options = {"weight": weights, "label_smoothing": case["smoothing"]}
    if case["targets"] == "Soft":
        require(case["ignoreIndex"] is None, "torch.nn.functional.cross_entropy ignores no rows of soft targets")
        target = case.uniform(rows, classes, low=0, high=2 / classes)
    else:
        require(case["targets"] == "Hard", "torch.nn.functional.cross_entropy takes one label a row")
        target = case.labels(rows, classes)
        if case["ignoreIndex"] is not None:
            options["ignore_index"] = case["ignoreIndex"]
    z_loss, penalty, threshold = case["zLoss"], case["confidencePenalty"], case["entropyThreshold"]

    def loss():
        value = torch.nn.functional.cross_entropy(logits, target, reduction=reduction, **options)
        reduce = {"none": lambda rows: rows, "sum": torch.sum, "mean": torch.mean}[reduction]
        if z_loss:
            value = value + z_loss * reduce(torch.logsumexp(logits, 1) ** 2)
        if penalty:
            entropy = row_entropy(logits)
            value = value + penalty * reduce(-entropy if threshold is None else torch.relu(threshold - entropy))
        return value

    return logits, loss


def row_entropy(logits):
    log_p = torch.log_softmax(logits, 1)
    return -(log_p.exp() * log_p).sum(1)


@op("cross-entropy", "forward", "torch.nn.functional.cross_entropy")
def cross_entropy_forward(case):
    _, loss = cross_entropy(case, case["reduction"].lower())
    return loss


@op("cross-entropy", "backward", "torch.nn.functional.cross_entropy and its backward")
def cross_entropy_backward(case):
    # A loss for each row has the gradient of their sum.
    logits, loss = cross_entropy(case, "mean" if case["reduction"] == "Mean" else "sum")
    logits.requires_grad_()

    def call():
        with torch.enable_grad():
            return torch.autograd.grad(loss(), logits)

    return call


@op("entropy", "forward", "torch.log_softmax, exp, product and sum")
def entropy_forward(case):
    require(not case["hasMask"], "the mask is an argument of ours alone")
    logits = case.uniform(case["rows"], case["classes"], low=-3, high=3)
    return lambda: row_entropy(logits)


@op("entropy", "backward", "torch.log_softmax, exp, product and sum, and their backward")
def entropy_backward(case):
    logits = case.uniform(case["rows"], case["classes"], low=-3, high=3)
    mask = torch.rand(logits.shape, device=case.device) < 0.25 if case["hasMask"] else None
    if mask is not None:
        mask[:, 0] = False  # a row without classes would be NaN
    slopes = torch.ones(case["rows"], dtype=case.dtype, device=case.device)
    logits.requires_grad_()

    def call():
        with torch.enable_grad():
            if mask is None:
                entropy = row_entropy(logits)
            else:  # as torch.distributions users do: a large negative logit, since -inf times 0 is NaN
                entropy = row_entropy(logits.masked_fill(mask, torch.finfo(case.dtype).min))
            return torch.autograd.grad(entropy, logits, slopes)

    return call
