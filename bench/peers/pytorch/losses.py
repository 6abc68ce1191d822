"""Losses."""

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


@op("mean-squared-error", "forward", "torch.nn.functional.mse_loss")
def mean_squared_error_forward(case):
    predictions, targets = case.uniform(case["shape"]), case.uniform(case["shape"])
    return lambda: torch.nn.functional.mse_loss(predictions, targets)


@op("mean-squared-error", "backward", "torch.nn.functional.mse_loss and its backward")
def mean_squared_error_backward(case):
    targets = case.uniform(case["shape"])
    return loss_and_gradient([case.uniform(case["shape"])], lambda x: torch.nn.functional.mse_loss(x, targets))


def gan_losses(case):
    """The losses of the discriminator and of the generator, of one logit each."""
    if case["form"] == "Hinge":
        return lambda real: torch.relu(1 - real), lambda generated: torch.relu(1 + generated), torch.neg
    softplus = torch.nn.functional.softplus
    return lambda real: softplus(-real), softplus, lambda generated: softplus(-generated)


@op("gan-loss", "discriminator", "means of softplus or relu of the logits of both sides and of their signs, and autograd")
def gan_loss_discriminator(case):
    of_real, of_generated, _ = gan_losses(case)
    logits = [case.uniform(case["real"], low=-3, high=3), case.uniform(case["generated"], low=-3, high=3)]

    def loss(real, generated):
        (real > 0).to(real.dtype).mean(), (generated > 0).to(real.dtype).mean()
        return of_real(real).mean() + of_generated(generated).mean()

    return loss_and_gradient(logits, loss)


@op("gan-loss", "generator", "the mean of softplus or of the logits and that of their signs, and autograd")
def gan_loss_generator(case):
    _, _, of_generator = gan_losses(case)

    def loss(generated):
        (generated > 0).to(generated.dtype).mean()
        return of_generator(generated).mean()

    return loss_and_gradient([case.uniform(case["generated"], low=-3, high=3)], loss)


def loss_and_gradient(inputs, loss):
    for tensor in inputs:
        tensor.requires_grad_()

    def call():
        with torch.enable_grad():
            return torch.autograd.grad(loss(*inputs), inputs)

    return call
