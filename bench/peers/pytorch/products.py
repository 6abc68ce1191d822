"""Linear layers, convolution and matrix products."""

import torch
from case import op, require


@op("linear", "forward", "torch.nn.functional.linear")
def linear_forward(case):
    x, weight = case.uniform(case["rows"], case["inputs"]), case.uniform(case["outputs"], case["inputs"])
    bias = case.uniform(case["outputs"]) if case["hasBias"] else None
    return lambda: torch.nn.functional.linear(x, weight, bias)


@op("linear", "backward", "what autograd runs for linear: two products and a sum")
def linear_backward(case):
    x, weight = case.uniform(case["rows"], case["inputs"]), case.uniform(case["outputs"], case["inputs"])
    dy = case.uniform(case["rows"], case["outputs"])
    if case["hasBias"]:
        return lambda: (dy.mm(weight), dy.t().mm(x), dy.sum(0))
    return lambda: (dy.mm(weight), dy.t().mm(x))


def convolution(case):
    """x, weight, bias, dy as PyTorch wants them, and the arguments behind them."""
    stride_y, stride_x, dilation_y, dilation_x, top, bottom, left, right = case["settings"]
    require(top == bottom and left == right, "torch.nn.functional.conv2d pads both sides alike")
    batch, channels, outputs, groups = case["batch"], case["channels"], case["outputs"], case["groups"]
    height = (case["height"] + 2 * top - dilation_y * (case["filterHeight"] - 1) - 1) // stride_y + 1
    width = (case["width"] + 2 * left - dilation_x * (case["filterWidth"] - 1) - 1) // stride_x + 1

    def maps(count, inner, rows, columns):
        if case["channelsLast"]:
            return case.uniform(count, rows, columns, inner).permute(0, 3, 1, 2)
        return case.uniform(count, inner, rows, columns)

    x = maps(batch, channels, case["height"], case["width"])
    weight = maps(outputs, channels // groups, case["filterHeight"], case["filterWidth"])
    bias = case.uniform(outputs) if case["hasBias"] else None
    dy = maps(batch, outputs, height, width)
    return x, weight, bias, dy, ([stride_y, stride_x], [top, left], [dilation_y, dilation_x]), groups


@op("conv2d", "forward", "torch.nn.functional.conv2d")
def conv2d_forward(case):
    x, weight, bias, _, settings, groups = convolution(case)
    return lambda: torch.nn.functional.conv2d(x, weight, bias, *settings, groups)


@op("conv2d", "forward relu", "torch.nn.functional.conv2d, then torch.Tensor.relu_")
def conv2d_forward_relu(case):
    x, weight, bias, _, settings, groups = convolution(case)
    return lambda: torch.nn.functional.conv2d(x, weight, bias, *settings, groups).relu_()


@op("conv2d", "backward data", "aten::convolution_backward, the gradient of the input alone")
def conv2d_backward_data(case):
    x, weight, _, dy, settings, groups = convolution(case)
    mask = [True, False, False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, *settings, False, [0, 0], groups, mask)


@op("conv2d", "backward filter", "aten::convolution_backward, the gradients of weight and bias alone")
def conv2d_backward_filter(case):
    x, weight, bias, dy, settings, groups = convolution(case)
    sizes, mask = None if bias is None else list(bias.shape), [False, True, bias is not None]
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, sizes, *settings, False, [0, 0], groups, mask)


@op("conv2d-transpose", "forward", "torch.nn.functional.conv_transpose2d")
def conv2d_transpose_forward(case):
    x, weight, bias, _, (stride, padding, dilation), more, groups = transposed(case)
    return lambda: torch.nn.functional.conv_transpose2d(x, weight, bias, stride, padding, more, groups, dilation)


@op("conv2d-transpose", "backward data", "aten::convolution_backward, the gradient of the input alone")
def conv2d_transpose_backward_data(case):
    x, weight, _, dy, settings, more, groups = transposed(case)
    mask = [True, False, False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, *settings, True, more, groups, mask)


@op("conv2d-transpose", "backward filter", "aten::convolution_backward, the gradients of weight and bias alone")
def conv2d_transpose_backward_filter(case):
    x, weight, bias, dy, settings, more, groups = transposed(case)
    sizes, mask = None if bias is None else [bias.numel()], [False, True, bias is not None]
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, sizes, *settings, True, more, groups, mask)


def transposed(case):
    """The problem is that of the convolution, whose input is the layer's output."""
    y, weight, _, x, settings, groups = convolution(case)
    stride, padding, dilation = settings
    bias = case.uniform(case["channels"]) if case["hasBias"] else None
    more = [(size + 2 * pad - rate * (taps - 1) - 1) % step for size, pad, rate, taps, step in
            zip(y.shape[2:], padding, dilation, weight.shape[2:], stride)]
    return x, weight, bias, y, settings, more, groups


@op("matmul", "multiply", "torch.mm")
def matmul(case):
    m, n, k = case["m"], case["n"], case["k"]
    a = case.uniform(k, m).t() if case["transposeA"] else case.uniform(m, k)
    b = case.uniform(n, k).t() if case["transposeB"] else case.uniform(k, n)
    c = torch.empty(m, n, dtype=case.dtype, device=case.device)
    return lambda: torch.mm(a, b, out=c)
