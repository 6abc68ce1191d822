"""Batch and spectral normalization, the minibatch standard deviation, and ReLU."""

import torch
from case import gradient, op


@op("relu", "forward", "torch.nn.functional.relu")
def relu_forward(case):
    x = case.uniform(case["shape"])
    return lambda: torch.nn.functional.relu(x)


@op("relu", "backward", "aten::threshold_backward")
def relu_backward(case):
    x, dy = case.uniform(case["shape"]), case.uniform(case["shape"])
    return lambda: torch.ops.aten.threshold_backward(dy, x, 0)


@op("batch-norm", "forward", "torch.nn.functional.batch_norm with training=True")
def batch_norm_forward(case):
    x, parameters = batch_norm(case)
    return lambda: torch.nn.functional.batch_norm(x, *parameters, training=True)


@op("batch-norm", "infer", "torch.nn.functional.batch_norm with training=False")
def batch_norm_infer(case):
    x, parameters = batch_norm(case)
    return lambda: torch.nn.functional.batch_norm(x, *parameters, training=False)


@op("batch-norm", "backward", "autograd through torch.nn.functional.batch_norm")
def batch_norm_backward(case):
    x, (mean, variance, *affine) = batch_norm(case)
    given = [parameter for parameter in affine if parameter is not None]

    def forward(x, *_):
        return torch.nn.functional.batch_norm(x, mean, variance, *affine, training=True)

    return gradient([x, *given], forward)


@op("ghost-batch-norm", "forward", "torch.nn.functional.batch_norm of each ghost batch, written into one result")
def ghost_batch_norm_forward(case):
    x, parameters = batch_norm(case)
    y = torch.empty_like(x)

    def call():
        for ghost, result in zip(x.split(case["ghostSize"]), y.split(case["ghostSize"])):
            result.copy_(torch.nn.functional.batch_norm(ghost, *parameters, training=True))
        return y

    return call


@op("sync-batch-norm", "statistics", "torch.batch_norm_stats")
def sync_batch_norm_statistics(case):
    x, _ = batch_norm(case)
    return lambda: torch.batch_norm_stats(x, 1e-5)


@op("sync-batch-norm", "apply", "torch.batch_norm_elemt")
def sync_batch_norm_apply(case):
    x, (_, _, gamma, beta) = batch_norm(case)
    mean, inverse = torch.batch_norm_stats(x, 1e-5)
    return lambda: torch.batch_norm_elemt(x, gamma, beta, mean, inverse, 1e-5)


@op("sync-batch-norm", "reduce-gradient", "torch.batch_norm_backward_reduce")
def sync_batch_norm_reduce_gradient(case):
    x, (_, _, gamma, _) = batch_norm(case)
    mean, inverse = torch.batch_norm_stats(x, 1e-5)
    dy = torch.randn_like(x)
    return lambda: torch.batch_norm_backward_reduce(dy, x, mean, inverse, gamma, True, True, True)


@op("sync-batch-norm", "apply-gradient", "torch.batch_norm_backward_elemt")
def sync_batch_norm_apply_gradient(case):
    x, (_, _, gamma, _) = batch_norm(case)
    mean, inverse = torch.batch_norm_stats(x, 1e-5)
    dy = torch.randn_like(x)
    sums = torch.batch_norm_backward_reduce(dy, x, mean, inverse, gamma, True, False, False)[:2]
    count = torch.tensor([x.numel() // x.shape[1]], dtype=torch.int32, device=case.device)
    return lambda: torch.batch_norm_backward_elemt(dy, x, mean, inverse, gamma, *sums, count)


@op("batch-norm-relu", "forward", "torch.nn.functional.dropout of torch.relu of torch.nn.functional.batch_norm")
def batch_norm_relu_forward(case):
    x, parameters = batch_norm(case)
    return lambda: dropped_relu(case, torch.nn.functional.batch_norm(x, *parameters, training=True))


@op("batch-norm-relu", "backward", "autograd through torch.nn.functional.batch_norm, torch.relu and torch.nn.functional.dropout")
def batch_norm_relu_backward(case):
    x, (mean, variance, *affine) = batch_norm(case)
    given = [parameter for parameter in affine if parameter is not None]

    def forward(x, *_):
        return dropped_relu(case, torch.nn.functional.batch_norm(x, mean, variance, *affine, training=True))

    return gradient([x, *given], forward)


@op("batch-norm-add-relu", "forward", "torch.nn.functional.dropout of torch.relu of torch.nn.functional.batch_norm and a residual")
def batch_norm_add_relu_forward(case):
    x, parameters = batch_norm(case)
    residual = torch.randn_like(x)
    return lambda: dropped_relu(case, torch.nn.functional.batch_norm(x, *parameters, training=True).add_(residual))


@op("batch-norm-add-relu", "backward", "autograd through torch.nn.functional.batch_norm, a sum, torch.relu and torch.nn.functional.dropout")
def batch_norm_add_relu_backward(case):
    x, (mean, variance, *affine) = batch_norm(case)
    given = [parameter for parameter in affine if parameter is not None]

    def forward(x, residual, *_):
        return dropped_relu(case, torch.nn.functional.batch_norm(x, mean, variance, *affine, training=True) + residual)

    return gradient([x, torch.randn_like(x), *given], forward)


def dropped_relu(case, z):
    y = torch.relu_(z) if not z.requires_grad else torch.relu(z)
    return torch.nn.functional.dropout(y, case["dropProbability"], training=True) if case["dropProbability"] > 0 else y


def batch_norm(case):
    """The input, channels last in memory where they are, and running mean, running variance, gamma and beta."""
    channels = case["channels"]
    x = case.uniform(case["shape"])
    x = x.movedim(-1, 1) if case["layout"] == "ChannelsLast" else x

    def channel(value):
        return torch.full((channels,), value, dtype=torch.float64 if case.dtype == torch.float64 else torch.float32, device=case.device)

    return x, (
        channel(0.0) if case["hasRunning"] else None,
        channel(1.0) if case["hasRunning"] else None,
        channel(1.5) if case["hasGamma"] else None,
        channel(0.5) if case["hasBeta"] else None,
    )


@op("minibatch-deviation", "forward", "var, sqrt, mean and cat, as StyleGAN2's layer has them")
def minibatch_deviation_forward(case):
    x = case.uniform(*case["shape"])
    return lambda: minibatch_deviation(x, case["groupSize"])


@op("minibatch-deviation", "backward", "autograd through var, sqrt, mean and cat")
def minibatch_deviation_backward(case):
    return gradient([case.uniform(*case["shape"])], lambda x: minibatch_deviation(x, case["groupSize"]))


def minibatch_deviation(x, group_size):
    deviations = (x.reshape(group_size, -1, *x.shape[1:]).var(dim=0, unbiased=False) + 1e-8).sqrt()
    column = deviations.flatten(1).mean(dim=1).repeat(group_size).reshape(-1, 1, *[1] * (x.dim() - 2))
    return torch.cat([x, column.expand(-1, 1, *x.shape[2:])], dim=1)


@op("spectral-norm", "forward", "torch.nn.utils.parametrizations.spectral_norm in training")
def spectral_norm_forward(case):
    normalization, weight = spectral_norm(case)
    return lambda: normalization(weight)


@op("spectral-norm", "backward", "autograd through torch.nn.utils.parametrizations.spectral_norm")
def spectral_norm_backward(case):
    normalization, weight = spectral_norm(case)
    return gradient([weight], normalization)


def spectral_norm(case):
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(case.uniform(*case["shape"]))
    torch.nn.utils.parametrizations.spectral_norm(layer)
    return layer.parametrizations.weight[0], layer.parametrizations.weight.original.detach()
