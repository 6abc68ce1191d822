"""Every op of kernels.torch with a gradient, against finite differences in double precision."""

import unittest

from .with_torch import torch  # isort: skip
from torch.autograd import gradcheck, gradgradcheck

from kernels.torch import transforms
from kernels.torch.nn import functional as F

KEY = (0x0123456789ABCDEF, 42)


def values(*shape, last=False):
    x = torch.randn(*shape, dtype=torch.float64)
    if last:
        x = x.contiguous(memory_format={4: torch.channels_last, 5: torch.channels_last_3d}[len(shape)])
    return x.requires_grad_()


def labels(*shape, classes=5):
    return torch.randint(classes, shape)


def masked(shape):
    mask = torch.rand(shape) < 0.7
    mask[..., 0] = True
    return mask


# What multiplies by numbers of its own has a gradient whose gradient is checked too.
DIAGONAL = {
    "dropout": lambda: (lambda x: F.dropout(x, 0.4, key=KEY), values(3, 7)),
    "dropout, channels last": lambda: (lambda x: F.dropout(x, 0.4, key=KEY), values(2, 3, 2, 3, last=True)),
    "dropout, transposed": lambda: (lambda x: F.dropout(x.t(), 0.4, key=KEY), values(3, 7)),
    "dropout, in place": lambda: (lambda x: F.dropout(x * 1, 0.4, inplace=True, key=KEY), values(3, 7)),
    "alpha_dropout": lambda: (lambda x: F.alpha_dropout(x, 0.4, True, key=KEY), values(3, 7)),
    "gaussian_dropout": lambda: (lambda x: F.gaussian_dropout(x, 0.4, key=KEY), values(3, 7)),
    "dropout1d": lambda: (lambda x: F.dropout1d(x, 0.4, key=KEY), values(2, 3, 4)),
    "dropout2d": lambda: (lambda x: F.dropout2d(x, 0.4, key=KEY), values(2, 3, 2, 3)),
    "dropout2d, channels last": lambda: (lambda x: F.dropout2d(x, 0.4, key=KEY), values(2, 3, 2, 3, last=True)),
    "dropout3d": lambda: (lambda x: F.dropout3d(x, 0.4, key=KEY), values(2, 3, 2, 2, 2)),
    "variational_dropout": lambda: (lambda x: F.variational_dropout(x, 0.4, key=KEY), values(4, 2, 3)),
    "drop_block1d": lambda: (lambda x: F.drop_block1d(x, 0.3, 3, key=KEY), values(2, 2, 8)),
    "drop_block2d": lambda: (lambda x: F.drop_block2d(x, 0.3, 2, key=KEY), values(2, 2, 4, 4)),
    "drop_block2d, channels last": lambda: (lambda x: F.drop_block2d(x, 0.3, (2, 3), rate="paper", key=KEY), values(1, 2, 4, 4, last=True)),
    "drop_block3d": lambda: (lambda x: F.drop_block3d(x, 0.3, 2, normalization="map", key=KEY), values(1, 2, 3, 3, 3)),
    "stochastic_depth": lambda: (lambda x: F.stochastic_depth(x, 0.5, key=KEY), values(5, 2, 2)),
    "stochastic_depth, batch": lambda: (lambda x: F.stochastic_depth(x, 0.5, "batch", key=KEY), values(5, 2)),
    "cutout": lambda: (lambda x: F.cutout(x, 2, holes=2, key=KEY), values(2, 2, 5, 4)),
    "random_erase": lambda: (lambda x: F.random_erase(x, p=1.0, key=KEY), values(2, 2, 5, 4, last=True)),
}

OTHERS = {
    "gaussian_noise": lambda: (lambda x: F.gaussian_noise(x, 0.5, key=KEY), values(3, 7)),
    "stochastic_depth, residual": lambda: (lambda f, x: F.stochastic_depth(f, 0.5, residual=x, key=KEY), values(5, 3), values(5, 3)),
    "stochastic_depth, relu": lambda: (
        lambda f, x: F.stochastic_depth(f, 0.5, residual=x, relu=True, key=KEY), values(5, 2, 2, 2, last=True), values(5, 2, 2, 2)),
    "bias_dropout_residual": lambda: (
        lambda x, b, r: F.bias_dropout_residual(x, b, r, 0.4, row_p=0.3, key=KEY), values(2, 3, 4), values(4), values(2, 3, 4)),
    "bias_dropout_residual, no bias": lambda: (lambda x, r: F.bias_dropout_residual(x, None, r, 0.4, key=KEY), values(3, 4), values(3, 4)),
    "attention_dropout": lambda: (lambda x: F.attention_dropout(x, 0.3, scale=0.7, key=KEY), values(2, 2, 3, 5)),
    "attention_dropout, causal": lambda: (lambda x: F.attention_dropout(x, 0.3, causal=True, key=KEY), values(2, 3, 5)),
    "attention_dropout, lengths": lambda: (
        lambda x: F.attention_dropout(x, 0.3, key_lengths=torch.tensor([5, 2]), key=KEY), values(2, 2, 3, 5)),
    "attention_dropout, mask": lambda: (
        lambda x, m: F.attention_dropout(x, 0.3, mask=m, scale=0.7, key=KEY), values(2, 2, 3, 5), values(2, 1, 1, 5)),
    "attention_dropout, mask of two dimensions": lambda: (
        lambda x, m: F.attention_dropout(x, 0.3, mask=m, key=KEY), values(4, 3, 5), values(3, 5)),
    "attention_dropout, boolean mask": lambda: (
        (lambda mask: lambda x: F.attention_dropout(x, 0.3, mask=mask, key=KEY))(masked((2, 3, 5))), values(2, 3, 5)),
    "scaled_dot_product_attention": lambda: (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.3, is_causal=True, random_key=KEY),
        values(2, 2, 3, 4), values(2, 2, 5, 4), values(2, 2, 5, 4)),
    "embedding_dropout": lambda: (
        (lambda ids: lambda w: F.embedding_dropout(ids, w, 0.3, padding_idx=-1, key=KEY))(labels(2, 4, classes=4)), values(5, 3)),
    "embedding_dropout, sequence": lambda: (
        (lambda ids: lambda w: F.embedding_dropout(ids, w, 0.3, scope="sequence", key=KEY))(labels(2, 4)), values(5, 3)),
    "cross_entropy": lambda: ((lambda t: lambda x: F.cross_entropy(x, t, label_smoothing=0.1))(labels(4)), values(4, 5)),
    "cross_entropy, penalties": lambda: (
        (lambda t: lambda x: F.cross_entropy(x, t, reduction="none", z_loss=0.3, confidence_penalty=0.2))(labels(4)), values(4, 5)),
    "cross_entropy, entropy threshold": lambda: (
        (lambda t: lambda x: F.cross_entropy(x, t, confidence_penalty=0.2, entropy_threshold=1.2))(labels(4)), values(4, 5)),
    "cross_entropy, weights and maps": lambda: (
        (lambda t, w: lambda x: F.cross_entropy(x, t, w, ignore_index=2))(labels(2, 3, 2), torch.rand(5).double()), values(2, 5, 3, 2)),
    "cross_entropy, probabilities": lambda: (
        (lambda t: lambda x: F.cross_entropy(x, t, label_smoothing=0.1))(torch.rand(4, 5).double()), values(4, 5)),
    "cross_entropy, two labels": lambda: (
        (lambda a, b, s: lambda x: F.cross_entropy(x, a, other_target=b, share=s))(labels(4), labels(4), torch.rand(4).double()),
        values(4, 5)),
    "batch_norm": lambda: (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), values(4, 3), values(3), values(3)),
    "batch_norm, maps": lambda: (lambda x: F.batch_norm(x, None, None, training=True), values(2, 3, 2, 2)),
    "batch_norm, channels last": lambda: (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True), values(2, 3, 2, 2, last=True), values(3), values(3)),
    "batch_norm, inference": lambda: (
        lambda x, w, b: F.batch_norm(x, torch.ones(3).double(), torch.ones(3).double(), w, b), values(2, 3, 2), values(3), values(3)),
    "batch_norm_relu": lambda: (
        lambda x, w, b: F.batch_norm_relu(x, None, None, w, b, True, p=0.3, key=KEY), values(3, 3, 2), values(3), values(3)),
    "batch_norm_relu, inference": lambda: (
        lambda x, w, b: F.batch_norm_relu(x, torch.ones(3).double(), torch.ones(3).double(), w, b), values(2, 3), values(3), values(3)),
    "batch_norm_add_relu": lambda: (
        lambda x, r, w, b: F.batch_norm_add_relu(x, r, None, None, w, b, True, p=0.3, key=KEY),
        values(2, 3, 2, 2, last=True), values(2, 3, 2, 2), values(3), values(3)),
    "batch_norm, lengths": lambda: (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True, lengths=torch.tensor([4, 0, 3])), values(3, 2, 4), values(2), values(2)),
    "batch_norm, lengths and inference": lambda: (
        lambda x, w, b: F.batch_norm(x, torch.ones(2).double(), torch.ones(2).double(), w, b, lengths=torch.tensor([4, 0, 3])),
        values(3, 2, 4), values(2), values(2)),
    "batch_norm_add_relu, lengths": lambda: (
        lambda x, r: F.batch_norm_add_relu(x, r, None, None, training=True, p=0.3, key=KEY, lengths=torch.tensor([2, 3])),
        values(2, 3, 2, 2, last=True), values(2, 3, 2, 2)),
    "minibatch_deviation": lambda: (lambda x: F.minibatch_deviation(x, 2), values(4, 2, 2, 3)),
    "minibatch_deviation, channels last": lambda: (lambda x: F.minibatch_deviation(x, 3, 1e-3), values(3, 2, 2, 2, last=True)),
    "minibatch_deviation, rows": lambda: (F.minibatch_deviation, values(4, 5)),
    "spectral_norm": lambda: (
        (lambda u, v: lambda w: F.spectral_norm(w, u, v, 0))(torch.rand(3).double(), torch.rand(4).double()), values(3, 2, 2)),
    "mse_loss": lambda: (F.mse_loss, values(3, 5), values(3, 5)),
    "discriminator_loss": lambda: (F.discriminator_loss, values(4, 1), values(5)),
    "discriminator_loss, hinge": lambda: (lambda r, g: F.discriminator_loss(r, g, "hinge"), values(4, 1), values(5)),
    "generator_loss": lambda: (F.generator_loss, values(4, 1)),
    "generator_loss, hinge": lambda: (lambda g: F.generator_loss(g, "hinge"), values(4)),
    "conv2d": lambda: (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=(1, 2), dilation=(1, 2)), values(2, 2, 5, 4), values(3, 2, 3, 2), values(3)),
    "conv2d, channels last": lambda: (
        lambda x, w, b: F.conv2d(x, w, b, padding="same", groups=2), values(1, 2, 3, 3, last=True), values(4, 1, 2, 3), values(4)),
    "conv2d, depthwise": lambda: (lambda x, w: F.conv2d(x, w, groups=3), values(2, 3, 4, 4), values(3, 1, 3, 3)),
    "conv_transpose2d": lambda: (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        values(2, 2, 3, 3), values(2, 3, 3, 3), values(3)),
    "conv_transpose2d, channels last": lambda: (
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, groups=2), values(1, 2, 2, 3, last=True), values(2, 2, 2, 2), values(4)),
    "linear": lambda: (F.linear, values(2, 3, 4), values(5, 4), values(5)),
    "relu": lambda: (F.relu, values(3, 7)),
    "relu, in place": lambda: (lambda x: F.relu(x * 1, True), values(2, 3, 2, 2, last=True)),
    "leaky_relu": lambda: (lambda x: F.leaky_relu(x, 0.2), values(3, 7)),
    "leaky_relu, in place": lambda: (lambda x: F.leaky_relu(x * 1, 0.2, True), values(2, 3, 2, 2, last=True)),
    "tanh": lambda: (F.tanh, values(3, 7)),
    "sigmoid": lambda: (F.sigmoid, values(2, 3, 2, 2, last=True)),
    "interpolate": lambda: (lambda x: F.interpolate(x, scale_factor=(2, 3)), values(2, 2, 2, 3)),
    "interpolate, channels last": lambda: (lambda x: F.interpolate(x, size=(6, 4)), values(1, 2, 3, 2, last=True)),
    "max_pool2d": lambda: (lambda x: F.max_pool2d(x, 3, 2, 1), values(2, 2, 5, 4)),
    "max_pool2d, channels last": lambda: (lambda x: F.max_pool2d(x, (2, 3), ceil_mode=True), values(1, 2, 5, 4, last=True)),
    "avg_pool2d": lambda: (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), values(2, 2, 5, 4)),
    "avg_pool2d, channels last": lambda: (lambda x: F.avg_pool2d(x, 2, divisor_override=3), values(1, 2, 5, 4, last=True)),
    "adaptive_avg_pool2d": lambda: (lambda x: F.adaptive_avg_pool2d(x, 1), values(2, 2, 3, 3)),
    "adaptive_avg_pool2d, channels last": lambda: (lambda x: F.adaptive_avg_pool2d(x, (1, 1)), values(2, 2, 3, 3, last=True)),
    "affine": lambda: ((lambda m: lambda x: F.affine(x, m, (3, 4)))(torch.randn(2, 2, 3)), values(2, 2, 4, 3)),
    "differentiable_augment": lambda: (lambda x: F.differentiable_augment(x, key=KEY), values(3, 3, 5, 4)),
    "differentiable_augment, channels last": lambda: (
        (lambda p: lambda x: F.differentiable_augment(x, cutout=0, p=p, key=KEY))(torch.tensor(0.6)), values(3, 2, 4, 4, last=True)),
    "mixup": lambda: ((lambda t: lambda x: transforms.MixUp()(x, t, key=KEY)[0])(labels(4)), values(4, 2, 2, 2)),
    "cutmix": lambda: ((lambda t: lambda x: transforms.CutMix()(x, t, key=KEY)[0])(labels(4)), values(4, 2, 3, 3, last=True)),
}  # fmt: skip


class GradientTests(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)

    def test_gradients(self):
        for name, make in {**DIAGONAL, **OTHERS}.items():
            with self.subTest(name):
                function, *inputs = make()
                self.assertTrue(gradcheck(function, inputs))

    def test_gradients_of_gradients(self):
        for name, make in DIAGONAL.items():
            with self.subTest(name):
                function, *inputs = make()
                self.assertTrue(gradgradcheck(function, inputs))

    def test_a_gradient_of_a_gradient_that_is_missing_is_an_error(self):
        x, w = values(3, 3), values(3, 3)
        (dx,) = torch.autograd.grad((w * F.relu(x)).sum(), x, create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "once_differentiable"):
            dx.sum().backward()

    def test_every_function_is_here(self):
        own = {name: value for name, value in vars(F).items() if callable(value) and value.__module__ == F.__name__}
        public = {name for name in own if not name.startswith("_")}
        checked = {name.split(",")[0] for name in (*DIAGONAL, *OTHERS)}
        self.assertEqual(public - checked - {"drop_block"}, set())


if __name__ == "__main__":
    unittest.main()
