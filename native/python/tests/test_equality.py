"""kernels.torch against PyTorch's own layers and formulas: results and gradients."""

import array
import unittest

from .with_torch import DEVICE, torch  # isort: skip
from torch import nn as torch_nn
from torch.nn import functional as torch_functional

import kernels
from kernels.torch import manual_seed, nn, random, synchronize, transforms
from kernels.torch.nn import functional as F

KEY = (0x0123456789ABCDEF, 42)
LAST = torch.channels_last


def threshold(p):
    return round((1 - p) * 65536)


def bits(count, export):
    """What the library exports into words on the CPU, as zeros and ones."""
    words = array.array("I", bytes(4 * kernels.dropout_mask_words(count)))
    export(words)
    return torch.tensor([words[i // 32] >> (i % 32) & 1 for i in range(count)])


def mask(count, p, key=KEY):
    """What dropout keeps: the library's export, which test_interface holds against an independent Philox."""
    return bits(count, lambda words: kernels.dropout_export_mask(words, count, p, key))


class Case(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)

    def assert_close(self, a, b, **tolerance):
        torch.testing.assert_close(a, b, **tolerance)

    def compare(self, ours, theirs, *inputs, **tolerance):
        """Results and gradients of two functions of the same inputs."""
        copies = [[x.detach().clone().requires_grad_(x.requires_grad) for x in inputs] for _ in range(2)]
        results = [function(*copy) for function, copy in zip((ours, theirs), copies)]
        self.assert_close(*results, check_stride=False, **tolerance)
        if results[0].requires_grad:
            dy = torch.randn_like(results[1])
            wanted = [[x for x in copy if x.requires_grad] for copy in copies]
            for a, b in zip(*(torch.autograd.grad(y, x, dy) for y, x in zip(results, wanted))):
                self.assert_close(a, b, check_stride=False, **tolerance)
        return results[0]

    def assert_bad_data(self, call):
        """The CPU raises it at once; elsewhere the next wait does, and no wait after that."""
        with self.assertRaises(IndexError):
            call()
            self.assertNotEqual(DEVICE.type, "cpu")
            synchronize()
        synchronize()


class DropoutTests(Case):
    def test_elements_are_dropped_by_the_mask_and_scaled_by_what_is_applied(self):
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
            x = torch.randn(5, 13).to(dtype)
            m, scale = mask(65, 0.3).view(5, 13), 65536 / threshold(0.3)
            self.assert_close(F.dropout(x, 0.3, key=KEY), (x.double() * m * scale).to(dtype))

    def test_p_and_training(self):
        x = torch.randn(4, 4)
        for layer in (nn.Dropout(0.0), nn.Dropout(0.5).eval(), nn.GaussianDropout(0.5).eval(), nn.StochasticDepth(0.5).eval()):
            self.assertIs(layer(x), x)
        self.assertEqual(F.dropout(x, 1.0).count_nonzero(), 0)
        for bad in (-0.1, 1.1, float("nan")):
            with self.assertRaises(ValueError):
                nn.Dropout(bad)(x)
            with self.assertRaises(ValueError):
                F.dropout(x, bad)

    def test_in_place(self):
        x = torch.ones(64)
        y = nn.Dropout(0.5, inplace=True)(x)
        self.assertEqual(y.data_ptr(), x.data_ptr())
        with self.assertRaisesRegex(RuntimeError, "leaf"):
            nn.Dropout(0.5, inplace=True)(torch.ones(4, requires_grad=True))

    def test_in_place_what_is_not_dense_changes_too(self):
        for ours, theirs in (
            (lambda x: F.relu(x, True), lambda x: torch_functional.relu(x, True)),
            (lambda x: F.leaky_relu(x, 0.1, True), lambda x: torch_functional.leaky_relu(x, 0.1, True)),
            (lambda x: F.dropout(x, 0.3, inplace=True, key=KEY), lambda x: x.mul_(mask(15, 0.3).view(5, 3) * (65536 / threshold(0.3)))),
        ):
            for first in (0, 1):  # the transposed of all columns, and of all but the first
                results = []
                for function in (ours, theirs):
                    torch.manual_seed(3)
                    leaf = torch.randn(3, 5 + first, requires_grad=True)
                    base = leaf * 1
                    part = base[:, first:].t()
                    self.assertEqual(function(part).data_ptr(), part.data_ptr())
                    base.square().sum().backward()
                    results.append((base.detach(), leaf.grad))
                for a, b in zip(*results):
                    self.assert_close(a, b)
        with self.assertRaises(RuntimeError):
            F.relu(torch.ones(1, 4).expand(3, 4), True)

    def test_channels_go_together(self):
        for layer, theirs, shape in (
            (nn.Dropout1d, torch_nn.Dropout1d, (50, 20, 3)),
            (nn.Dropout1d, torch_nn.Dropout1d, (500, 3)),
            (nn.Dropout2d, torch_nn.Dropout2d, (50, 20, 2, 3)),
            (nn.Dropout2d, torch_nn.Dropout2d, (50, 20, 3)),
            (nn.Dropout3d, torch_nn.Dropout3d, (50, 20, 2, 1, 2)),
            (nn.Dropout3d, torch_nn.Dropout3d, (500, 2, 1, 2)),
        ):
            # (500, 3) and (500, 2, 1, 2) are channels without a batch.
            first = 1 if shape[0] == 500 else 2
            for made in (layer, theirs):
                dropped = (made(0.4)(torch.ones(shape)) == 0).flatten(first).float().mean(-1)
                self.assertTrue(((dropped == 0) | (dropped == 1)).all(), shape)
                self.assertAlmostEqual(dropped.mean().item(), 0.4, delta=0.12)

    def test_layouts_drop_the_same_channels(self):
        x = torch.randn(4, 6, 3, 2)
        y = F.dropout2d(x.contiguous(memory_format=LAST), 0.5, key=KEY)
        self.assertTrue(y.is_contiguous(memory_format=LAST))
        self.assert_close(F.dropout2d(x, 0.5, key=KEY), y, check_stride=False)

    def test_alpha(self):
        x, p, s = torch.randn(200), 0.3, -1.7580993408473766
        q, m = threshold(p) / 65536, mask(200, p)
        a = (q + s**2 * q * (1 - q)) ** -0.5
        self.assert_close(nn.AlphaDropout(0.3).train()(x).shape, x.shape)
        self.assert_close(F.alpha_dropout(x, p, True, key=KEY), a * torch.where(m == 1, x, torch.tensor(s)) - a * (1 - q) * s)

    def test_gaussian(self):
        x = torch.randn(999)
        noise = F.gaussian_noise(torch.zeros(999), 1.0, key=KEY)
        self.assert_close(F.gaussian_dropout(x, 0.2, key=KEY), x * (1 + 0.5 * noise), rtol=1e-3, atol=1e-5)
        self.assertAlmostEqual(noise.mean().item(), 0, delta=0.15)
        self.assertAlmostEqual(noise.std().item(), 1, delta=0.1)
        self.assert_close(F.gaussian_noise(x, 0.1, key=KEY), x + 0.1 * noise)

    def test_variational_masks_are_the_same_at_each_step(self):
        y = nn.VariationalDropout(0.5)(torch.ones(7, 4, 8))
        self.assertTrue((y == y[:1]).all() and 0 < y.count_nonzero() < y.numel())
        y = nn.VariationalDropout(0.5, batch_first=True)(torch.ones(4, 7, 8))
        self.assertTrue((y == y[:, :1]).all() and 0 < y.count_nonzero() < y.numel())

    def test_drop_block(self):
        for layer, shape in ((nn.DropBlock1d, (2, 3, 30)), (nn.DropBlock2d, (2, 3, 9, 8)), (nn.DropBlock3d, (2, 3, 5, 4, 3))):
            x = torch.randn(shape)
            m = bits(x.numel(), lambda words, shape=shape: kernels.drop_block_export_mask(words, shape, [3], 0.2, KEY)).view(shape)
            self.assert_close(F.drop_block(x, 0.2, 3, key=KEY), x * m * (m.numel() / m.sum()))
            self.assertLess(layer(0.2, 3)(x).count_nonzero(), x.numel())
            with self.assertRaises(ValueError):
                layer(0.2, 3)(x[0])

    def test_stochastic_depth(self):
        f, x = torch.randn(40, 3), torch.randn(40, 3)
        b = mask(40, 0.25).view(40, 1) * (65536 / threshold(0.25))
        self.assert_close(F.stochastic_depth(f, 0.25, key=KEY), b * f)
        self.compare(lambda f, x: F.stochastic_depth(f, 0.25, residual=x, key=KEY), lambda f, x: x + b * f, *leaves(f, x))
        self.compare(
            lambda f, x: F.stochastic_depth(f, 0.25, residual=x, relu=True, key=KEY), lambda f, x: torch.relu(x + b * f), *leaves(f, x))
        self.assert_close(nn.StochasticDepth(0.25).eval()(f, x), f + x)
        kept = nn.StochasticDepth(0.5, "batch")(torch.ones(8, 2))
        self.assertIn(kept.unique().tolist(), ([0.0], [2.0]))

    def test_bias_dropout_residual(self):
        x, b, r = leaves(torch.randn(6, 10), torch.randn(10), torch.randn(6, 10))
        m = mask(60, 0.3).view(6, 10) * (65536 / threshold(0.3))
        self.compare(lambda x, b, r: F.bias_dropout_residual(x, b, r, 0.3, key=KEY), lambda x, b, r: r + m * (x + b), x, b, r)
        layer = nn.BiasDropoutResidual(10, 0.3).eval()
        self.assert_close(layer(x, r), x + r)


def leaves(*tensors):
    return [x.detach().clone().requires_grad_() for x in tensors]


class AttentionTests(Case):
    def test_softmax_masks_and_dropout(self):
        scores, p = torch.randn(2, 3, 4, 6, requires_grad=True), 0.3
        m = mask(144, p).view(2, 3, 4, 6) * (65536 / threshold(p))
        seen = torch.rand(2, 1, 4, 6) < 0.7
        seen[..., 0] = True
        causal = torch.ones(4, 6, dtype=torch.bool).tril(2)
        lengths = torch.tensor([6, 3])
        padding = (torch.arange(6) < lengths.view(2, 1, 1, 1))
        for settings, hidden in (({}, None), ({"mask": seen}, ~seen), ({"causal": True}, ~causal), ({"key_lengths": lengths}, ~padding)):
            def theirs(x, hidden=hidden):
                z = 0.5 * x if hidden is None else (0.5 * x).masked_fill(hidden, float("-inf"))
                return torch.softmax(z, -1) * m

            self.compare(lambda x, settings=settings: F.attention_dropout(x, p, scale=0.5, key=KEY, **settings), theirs, scores)
        added = torch.randn(3, 1, 6)
        self.compare(lambda x: nn.AttentionDropout(0.0)(x, added), lambda x: torch.softmax(x + added, -1), scores)
        self.compare(lambda x: nn.AttentionDropout(0.0)(x[0], added), lambda x: torch.softmax(x[0] + added, -1), scores)

    def test_scaled_dot_product_attention(self):
        for shapes in (((2, 3, 4, 8), (2, 3, 6, 8)), ((3, 4, 8), (3, 4, 8)), ((4, 8), (6, 8)), ((1, 2, 3, 4, 8), (1, 2, 3, 6, 8))):
            q, k, v = leaves(torch.randn(shapes[0]), torch.randn(shapes[1]), torch.randn(shapes[1]))
            for causal in (False, True):
                def theirs(q, k, v, causal=causal):
                    z = q @ k.transpose(-2, -1) / 8**0.5
                    hidden = torch.ones(z.shape[-2:], dtype=torch.bool).tril().logical_not()
                    return torch.softmax(z.masked_fill(hidden, float("-inf")) if causal else z, -1) @ v

                self.compare(lambda q, k, v, c=causal: F.scaled_dot_product_attention(q, k, v, is_causal=c), theirs, q, k, v)


class EmbeddingTests(Case):
    def test_without_dropout_it_is_an_embedding(self):
        ids, table = torch.randint(9, (3, 5)), torch.randn(9, 4, requires_grad=True)
        for padding in (None, 2, -1):
            self.compare(
                lambda w, i=padding: F.embedding_dropout(ids, w, training=False, padding_idx=i),
                lambda w, i=padding: torch_functional.embedding(ids, w, padding_idx=i), table)

    def test_words_are_dropped_whole(self):
        ids, layer = torch.arange(200).repeat(2, 1), nn.EmbeddingDropout(200, 4, p=0.3)
        y = layer(ids)
        self.assert_close(y[0], y[1])
        dropped = (y[0] == 0).all(-1)
        self.assertAlmostEqual(dropped.float().mean().item(), 0.3, delta=0.12)
        self.assert_close(y[0][~dropped], layer.weight[~dropped] * (65536 / threshold(0.3)))

    def test_ids_out_of_range_are_reported(self):
        for bad in (9, -1, 2**32 + 1):
            self.assert_bad_data(lambda bad=bad: F.embedding_dropout(torch.tensor([1, bad]), torch.randn(9, 4)))
        with self.assertRaises(TypeError):
            F.embedding_dropout(torch.tensor([1.0]), torch.randn(9, 4))


class CrossEntropyTests(Case):
    def test_all_of_pytorch(self):
        x, t, w = torch.randn(7, 5, requires_grad=True), torch.randint(5, (7,)), torch.rand(5) + 0.1
        t[2] = -100
        maps, labels = torch.randn(2, 5, 3, 2, requires_grad=True), torch.randint(5, (2, 3, 2))
        probabilities = torch.softmax(torch.randn(7, 5), -1)
        for reduction in ("none", "sum", "mean"):
            for smoothing in (0.0, 0.2):
                for weight in (None, w):
                    settings = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
                    ours, theirs = nn.CrossEntropyLoss(**settings), torch_nn.CrossEntropyLoss(**settings)
                    for inputs, target in ((x, t), (maps, labels), (x, probabilities)):
                        self.compare(lambda x, t=target: ours(x, t), lambda x, t=target: theirs(x, t), inputs)
        one = torch.randn(5, requires_grad=True)
        self.compare(lambda x: F.cross_entropy(x, torch.tensor(2)), lambda x: torch_functional.cross_entropy(x, torch.tensor(2)), one)
        nothing = torch.full((7,), -100)
        self.assertTrue(F.cross_entropy(x, nothing).isnan() and torch_functional.cross_entropy(x, nothing).isnan())

    def test_penalties_and_mixed_targets(self):
        x, t, u, s = torch.randn(6, 4, requires_grad=True), torch.randint(4, (6,)), torch.randint(4, (6,)), torch.rand(6)

        def theirs(x):
            logs = torch.log_softmax(x, -1)
            entropy = -(logs.exp() * logs).sum(-1)
            return (torch_functional.cross_entropy(x, t, reduction="none") + 0.3 * torch.logsumexp(x, -1) ** 2 - 0.2 * entropy).mean()

        self.compare(lambda x: nn.CrossEntropyLoss(z_loss=0.3, confidence_penalty=0.2)(x, t), theirs, x)
        self.compare(
            lambda x: F.cross_entropy(x, t, other_target=u, share=s, reduction="none"),
            lambda x: s * torch_functional.cross_entropy(x, t, reduction="none")
            + (1 - s) * torch_functional.cross_entropy(x, u, reduction="none"), x)

    def test_bad_targets(self):
        x = torch.randn(3, 4)
        for bad in (4, 2**32):
            self.assert_bad_data(lambda bad=bad: F.cross_entropy(x, torch.tensor([0, bad, 1])))
        labels, probabilities = (torch.zeros(2).long(), torch.zeros(3, 4).long()), (torch.rand(3, 3), torch.rand(3, 4, requires_grad=True))
        for target in (*labels, *probabilities):
            with self.assertRaises(ValueError):
                F.cross_entropy(x, target)

    def test_bad_data_of_an_op_waits_to_be_asked_for(self):
        kernels.cross_entropy_forward(torch.zeros(1, 2), torch.tensor([7], dtype=torch.int32), None, torch.zeros(1), None)
        with self.assertRaisesRegex(kernels.BadDataError, "label"):
            synchronize(DEVICE)
        synchronize(DEVICE)

    def test_half_logits_have_a_float_loss(self):
        x = torch.randn(3, 4).bfloat16().requires_grad_()
        loss = F.cross_entropy(x, torch.tensor([0, 1, 2]))
        loss.backward()
        self.assertEqual((loss.dtype, x.grad.dtype), (torch.float32, torch.bfloat16))


class BatchNormTests(Case):
    def test_training_and_inference(self):
        cases = ((nn.BatchNorm1d, torch_nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, torch_nn.BatchNorm1d, (6, 3, 4)),
                 (nn.BatchNorm2d, torch_nn.BatchNorm2d, (4, 3, 2, 5)), (nn.BatchNorm3d, torch_nn.BatchNorm3d, (2, 3, 2, 3, 2)))  # fmt: skip
        for made, theirs, shape in cases:
            for settings in ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.3, "eps": 1e-2}):
                with self.subTest(made=made.__name__, **settings):
                    ours, other = made(3, **settings), theirs(3, **settings)
                    for _ in range(2):
                        self.compare(ours, other, torch.randn(shape).mul(2).add(1).requires_grad_(), rtol=1e-4, atol=1e-5)
                    for a, b in zip(ours.state_dict().values(), other.state_dict().values()):
                        self.assert_close(a, b)
                    ours.eval(), other.eval()
                    x = torch.randn(shape)
                    self.compare(ours, other, x.requires_grad_(), rtol=1e-4, atol=1e-5)
                    with torch.no_grad():
                        self.assert_close(ours(x), other(x), rtol=1e-4, atol=1e-5)

    def test_channels_last_stays(self):
        x = torch.randn(4, 3, 5, 2).contiguous(memory_format=LAST).requires_grad_()
        y = self.compare(nn.BatchNorm2d(3), torch_nn.BatchNorm2d(3), x, rtol=1e-4, atol=1e-5)
        self.assertTrue(y.is_contiguous(memory_format=LAST))

    def test_states_load_into_each_other_and_halves_are_taken(self):
        ours, theirs = nn.BatchNorm2d(3), torch_nn.BatchNorm2d(3)
        ours(torch.randn(4, 3, 2, 2))
        theirs.load_state_dict(ours.state_dict())
        ours.load_state_dict(theirs.state_dict())
        layer, x = nn.BatchNorm2d(3).bfloat16(), torch.randn(4, 3, 2, 2).bfloat16().requires_grad_()
        y = layer(x)
        y.sum().backward()
        self.assertEqual((y.dtype, layer.weight.grad.dtype, layer.running_mean.dtype), (torch.bfloat16,) * 3)
        self.assertGreater(layer.running_mean.abs().sum(), 0)

    def test_with_relu_residual_and_dropout(self):
        x, r = leaves(torch.randn(5, 3, 4), torch.randn(5, 3, 4))
        m = mask(60, 0.3).view(5, 3, 4) * (65536 / threshold(0.3))
        norm = torch_nn.BatchNorm1d(3)
        self.compare(
            lambda x: F.batch_norm_relu(x, None, None, training=True, p=0.3, key=KEY), lambda x: torch.relu(norm(x)) * m, x,
            rtol=1e-4, atol=1e-5)  # fmt: skip
        self.compare(
            lambda x, r: F.batch_norm_add_relu(x, r, None, None, training=True, p=0.3, key=KEY),
            lambda x, r: torch.relu(norm(x) + r) * m, x, r, rtol=1e-4, atol=1e-5)  # fmt: skip
        for layer, extra in ((nn.BatchNormReLU(3, p=0.2), ()), (nn.BatchNormAddReLU(3, p=0.2), (r,))):
            layer(x, *extra)
            theirs = torch_nn.BatchNorm1d(3).eval()
            theirs.load_state_dict(layer.state_dict())
            layer.eval()
            with torch.no_grad():
                self.assert_close(layer(x, *extra), torch.relu(sum(extra, theirs(x))), rtol=1e-4, atol=1e-5)

    def test_one_value_a_channel_is_refused(self):
        with self.assertRaises(ValueError):
            nn.BatchNorm1d(3)(torch.randn(1, 3))
        with self.assertRaises(ValueError):
            nn.BatchNorm2d(3)(torch.randn(4, 3))


class LayerTests(Case):
    def test_conv2d(self):
        for settings in (
            {}, {"stride": 2, "padding": 1}, {"dilation": (1, 2), "padding": (2, 1), "bias": False}, {"groups": 2}, {"padding": "same"},
            {"padding": 1, "padding_mode": "reflect"}, {"padding": (1, 2), "padding_mode": "circular"},
        ):  # fmt: skip
            ours, theirs = nn.Conv2d(4, 6, (3, 2), **settings), torch_nn.Conv2d(4, 6, (3, 2), **settings)
            theirs.load_state_dict(ours.state_dict())
            for x in (torch.randn(2, 4, 7, 6), torch.randn(2, 4, 7, 6).contiguous(memory_format=LAST), torch.randn(4, 7, 6)):
                if x.dim() == 3 and "padding_mode" in settings:
                    continue  # PyTorch does not pad these
                x.requires_grad_()
                y = self.compare(ours, theirs, x, rtol=1e-4, atol=1e-5)
                if x.dim() == 4 and not x.is_contiguous() and "padding_mode" not in settings:
                    self.assertTrue(y.is_contiguous(memory_format=LAST))
                for layer in (ours, theirs):
                    layer.zero_grad()
                    layer(x).square().sum().backward()
                for a, b in zip(ours.parameters(), theirs.parameters()):
                    self.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-3)

    def test_conv_transpose2d(self):
        for settings in ({}, {"stride": 2, "padding": 1, "output_padding": 1}, {"groups": 2, "dilation": 2, "bias": False}):
            ours, theirs = nn.ConvTranspose2d(4, 6, 3, **settings), torch_nn.ConvTranspose2d(4, 6, 3, **settings)
            theirs.load_state_dict(ours.state_dict())
            self.compare(ours, theirs, torch.randn(2, 4, 5, 4, requires_grad=True), rtol=1e-4, atol=1e-5)
        ours = nn.ConvTranspose2d(4, 6, 3, stride=2)
        self.assertEqual(ours(torch.randn(1, 4, 5, 5), output_size=(12, 11)).shape, (1, 6, 12, 11))

    def test_what_a_layer_returns_may_be_written(self):
        for x in (torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 6).contiguous(memory_format=LAST)):
            x.requires_grad_()
            pools = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)
            for layer in (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(3), nn.Dropout2d(0.5), *pools):
                nn.ReLU(inplace=True)(layer(x)).sum().backward()

    def test_pools_linear_and_relu(self):
        x = torch.randn(2, 3, 7, 6)
        for made in (x, x.contiguous(memory_format=LAST), x[0]):
            made = made.requires_grad_()
            for name, settings in (
                ("MaxPool2d", (3, 2, 1)), ("MaxPool2d", ((2, 3), None, 0, 1, False, True)), ("AvgPool2d", (3, 2, 1)),
                ("AvgPool2d", ((2, 3), None, 0, True, False)), ("AvgPool2d", (2, 2, 0, False, True, 3)), ("AdaptiveAvgPool2d", (1,)),
                ("AdaptiveAvgPool2d", ((2, 3),)),
            ):  # fmt: skip
                ours, theirs = getattr(nn, name)(*settings), getattr(torch_nn, name)(*settings)
                # In rows, as PyTorch's own gradient of padded means is wrong on CUDA with channels last (pytorch/pytorch#188344).
                self.compare(ours, lambda x, theirs=theirs: theirs(x.contiguous()), made)
        ours, theirs = nn.Linear(6, 4), torch_nn.Linear(6, 4)
        theirs.load_state_dict(ours.state_dict())
        self.compare(ours, theirs, x.detach().requires_grad_(), rtol=1e-4, atol=1e-5)
        self.compare(nn.ReLU(), torch_nn.ReLU(), x.detach().t() if x.dim() == 2 else x.detach().requires_grad_())

    def test_autocast(self):
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
        with torch.autocast(DEVICE.type, torch.bfloat16):
            y = net(torch.randn(2, 3, 6, 6))
        y.float().sum().backward()
        self.assertEqual((y.dtype, net[0].weight.grad.dtype), (torch.bfloat16, torch.float32))

    def test_what_is_not_here_is_pytorchs(self):
        self.assertIs(nn.GELU, torch_nn.GELU)
        self.assertIs(F.gelu, torch_functional.gelu)
        for name in nn.modules.__all__:
            ours = getattr(nn, name)
            if hasattr(torch_nn, name):
                self.assertTrue(issubclass(ours, getattr(torch_nn, name)))

    def test_shapes_that_are_seldom(self):
        for x, weight in ((torch.ones(3, 0), torch.ones(2, 0)), (torch.ones(0, 4), torch.ones(2, 4)), (torch.ones(4), torch.ones(2, 4))):
            self.compare(F.linear, torch_functional.linear, *leaves(x, weight, torch.ones(2)))
        integers = torch.tensor([-1, 2])
        self.assert_close(nn.ReLU()(integers), torch_nn.ReLU()(integers))

    def test_what_cannot_be_taken_is_said(self):
        for bad in (torch.ones(3, dtype=torch.complex64), torch.ones(3, dtype=torch.int64), torch.ones(3).to_sparse()):
            with self.assertRaises(TypeError):
                F.dropout(bad, 0.5)
        x, t = torch.ones(4, 3), torch.zeros(4).long()
        for bad, message in (
            (lambda: F.cross_entropy(x, t, other_target=t), "share"),
            (lambda: F.cross_entropy(x, t, share=torch.ones(4)), "other_target"),
            (lambda: nn.GaussianNoise(-1.0)(x), "-1.0"),
            (lambda: nn.GaussianNoise(float("nan"))(x), "nan"),
            (lambda: nn.BatchNormAddReLU(3)(x, x[:2]), r"residual .*\(2, 3\).*\(4, 3\)"),
            (lambda: nn.StochasticDepth(0.5)(x, x[:2]), "residual"),
            (lambda: nn.BiasDropoutResidual(3)(x, x[0]), "residual"),
            (lambda: F.linear(torch.tensor(1.0), torch.ones(2, 1)), "dimension"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                bad()
        with self.assertRaises(ValueError):
            nn.Conv2d(3, 4, 3)(torch.randn(1, 3, 2, 2))
        with self.assertRaises(ValueError):
            F.linear(torch.randn(2, 3), torch.randn(4, 5))


class AugmentationTests(Case):
    def test_affine_is_grid_sample(self):
        # No place is a whole pixel, where the slope of an interpolation jumps.
        theta = torch.tensor([[[0.81, 0.317, 0.113], [-0.21, 0.93, 0.217]], [[-0.63, 0.1, 0.023], [0.22, 1.1, -0.117]]], requires_grad=True)
        x = torch.rand(2, 3, 6, 5, requires_grad=True)
        for mode in ("bilinear", "nearest"):
            for padding in ("zeros", "border", "reflection"):
                for corners in (False, True):
                    settings = {"mode": mode, "padding_mode": padding, "align_corners": corners}

                    def theirs(x, theta, settings=settings, corners=corners):
                        grid = torch_functional.affine_grid(theta, (2, 3, 4, 7), corners)
                        return torch_functional.grid_sample(x, grid, **settings)

                    with self.subTest(**settings):
                        self.compare(lambda x, m, s=settings: F.affine(x, m, (4, 7), **s), theirs, x, theta, rtol=1e-4, atol=1e-4)

    def test_certain_transforms(self):
        x = torch.rand(3, 3, 8, 6)
        for transform, theirs in (
            (transforms.RandomHorizontalFlip(1.0), x.flip(-1)), (transforms.RandomVerticalFlip(1.0), x.flip(-2)),
            (transforms.RandomHorizontalFlip(0.0), x), (transforms.RandomCrop((8, 6)), x), (transforms.ColorJitter(), x),
            (transforms.RandomRotation((180, 180)), x.flip(-1, -2)), (transforms.RandomSolarize(0.0, 1.0), 1 - x),
            (transforms.RandomPosterize(8, 0.0), x), (transforms.RandomAdjustSharpness(1.0, 1.0), x),
            (transforms.RandomErasing(0.0), x), (transforms.RandomErasing(1.0, (0.5, 0.5), value=2.0), None),
            (transforms.RandomAutocontrast(1.0), (x - x.amin((2, 3), True)) / (x.amax((2, 3), True) - x.amin((2, 3), True))),
            (transforms.RandomEqualize(0.0), x), (transforms.Cutout(20, fill=0.5), torch.full_like(x, 0.5)),
            (transforms.RandomResizedCrop((8, 6), (1.0, 1.0), (0.75, 0.75)), x), (transforms.Augment(horizontal_flip=1.0), x.flip(-1)),
            (transforms.RandAugment(), None), (transforms.TrivialAugmentWide(), None),
            (transforms.Normalize([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]),
             (x - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)),
        ):  # fmt: skip
            with self.subTest(type(transform).__name__):
                for given in (x, x.contiguous(memory_format=LAST)):
                    y = transform(given)
                    self.assertEqual(y.stride(), given.stride())
                    if theirs is not None:
                        self.assert_close(y, theirs, check_stride=False, rtol=1e-5, atol=1e-5)
                self.assertEqual(transform(x[0]).shape, x[0].shape)

    def test_bytes_become_floats(self):
        x = torch.randint(256, (2, 3, 5, 4), dtype=torch.uint8)
        self.assert_close(transforms.RandomHorizontalFlip(1.0)(x), x.flip(-1) / 255.0)
        self.assert_close(transforms.Normalize([0.5], [0.25], torch.float16)(x), ((x / 255.0 - 0.5) / 0.25).half(), rtol=1e-3, atol=1e-3)

    def test_a_sample_does_not_depend_on_its_batch(self):
        x, ids, order = torch.rand(6, 3, 8, 8), torch.arange(100, 106), torch.randperm(6)
        for transform in (
            transforms.RandomCrop(8, 4), transforms.ColorJitter(0.5, 0.5, 0.5, 0.1), transforms.RandAugment(), transforms.Cutout(3),
            transforms.RandomErasing(1.0),
        ):  # fmt: skip
            whole = transform(x, sample_ids=ids, key=KEY)
            self.assert_close(transform(x[order].contiguous(), sample_ids=ids[order], key=KEY), whole[order])
            self.assertGreater((whole != x).sum(), 0)

    def test_mixing(self):
        x, t = torch.rand(16, 2, 5, 4, requires_grad=True), torch.randint(10, (16,))
        for mix in (transforms.MixUp(0.4), transforms.CutMix(1.0)):
            y, others, share = mix(x, t, key=KEY)
            self.assertTrue(((share >= 0) & (share <= 1)).all() and ((0 < share) & (share < 1)).any())
            self.assertTrue(set(others.tolist()) <= set(t.tolist()))
            y.sum().backward()
            logits = torch.randn(16, 10)
            self.assert_close(
                nn.CrossEntropyLoss()(logits, t, others, share),
                (share * torch_functional.cross_entropy(logits, t, reduction="none")
                 + (1 - share) * torch_functional.cross_entropy(logits, others.long(), reduction="none")).mean())  # fmt: skip
            partners = [(y[i] - share[i] * x[i]) if isinstance(mix, transforms.MixUp) else None for i in range(16)]
            if partners[0] is not None:
                for i, rest in enumerate(partners):
                    if share[i] < 0.99:
                        distances = ((rest / (1 - share[i]) - x) ** 2).flatten(1).sum(1)
                        self.assertLess(distances.min().item(), 1e-6)
                        self.assertEqual(t[distances.argmin()].item(), others[i].item())

    def test_gradients_that_are_not_there_are_refused(self):
        with self.assertRaisesRegex(ValueError, "no gradient"):
            transforms.RandomRotation(10)(torch.rand(1, 3, 4, 4, requires_grad=True))


class KeyTests(Case):
    def tearDown(self):
        manual_seed(None)

    def test_pytorchs_seed_is_enough(self):
        x, layer = torch.ones(256), nn.Dropout(0.5)
        runs = []
        for _ in range(2):
            torch.manual_seed(5)
            runs.append((layer(x), layer(x)))
        self.assert_close(runs[0], runs[1])
        self.assertFalse(torch.equal(*runs[0]))

    def test_counted_keys_are_those_of_other_languages(self):
        manual_seed(42)
        x = torch.ones(100)
        for offset in range(3):
            self.assert_close(F.dropout(x, 0.5), F.dropout(x, 0.5, key=(42, offset)))
        self.assertEqual(random.next_key(), (42, 3))

    def test_checkpoints_draw_the_same_masks(self):
        from torch.utils.checkpoint import checkpoint

        layer, x = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 1)), torch.randn(4, 8, requires_grad=True)
        grads = []
        for run in (layer, lambda x: checkpoint(layer, x)):
            torch.manual_seed(9)
            x.grad = None
            run(x).sum().backward()
            grads.append(x.grad)
        self.assert_close(*grads)


if __name__ == "__main__":
    unittest.main()
