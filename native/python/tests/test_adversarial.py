"""Layers of networks that make images and judge them, and of padded sequences: against PyTorch's own layers and formulas."""

import unittest

from .with_torch import torch  # isort: skip
from torch import nn as torch_nn
from torch.nn import functional as torch_functional

from kernels.torch import nn, transforms
from kernels.torch.nn import functional as F

from .test_equality import KEY, LAST, Case, leaves

OLD, NEW = "spectral_norm", "parametrizations.spectral_norm"


def spectral(module, kind):
    """The function of that name in nn.utils of this library or of PyTorch."""
    found = module.utils
    for part in kind.split("."):
        found = getattr(found, part)
    return found


class SpectralNormTests(Case):
    LAYERS = (
        (lambda: torch_nn.Linear(5, 3).double(), (2, 5)),
        (lambda: torch_nn.Conv2d(2, 4, 3).double(), (2, 2, 4, 5)),
        (lambda: torch_nn.ConvTranspose2d(3, 2, (2, 3)).double(), (2, 3, 4, 5)),  # whose outputs are its weight's second dimension
    )

    def pair(self, kind, make, **settings):
        ours, theirs = make(), make()
        ours.load_state_dict(theirs.state_dict())
        ours, theirs = spectral(nn, kind)(ours, **settings), spectral(torch_nn, kind)(theirs, **settings)
        ours.load_state_dict(theirs.state_dict())
        return ours, theirs

    def test_steps_are_those_of_pytorch(self):
        for kind in (OLD, NEW):
            for make, shape in self.LAYERS:
                ours, theirs = self.pair(kind, make, n_power_iterations=2)
                x = torch.randn(shape).double()
                for training in (True, True, False):
                    ours.train(training), theirs.train(training)
                    results = [layer(x[:1]).square().mean() - layer(x[1:]).mean() for layer in (ours, theirs)]
                    self.assert_close(*results)
                    for layer, result in zip((ours, theirs), results):
                        layer.zero_grad()
                        result.backward()
                    for a, b in zip(ours.parameters(), theirs.parameters()):
                        self.assert_close(a.grad, b.grad, check_stride=False, rtol=1e-4, atol=1e-6)
                    for (name, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items()):
                        self.assertEqual(name, other)
                        self.assert_close(a, b)

    def test_it_can_be_taken_off(self):
        weights = []
        for kind, remove in (
            (OLD, nn.utils.remove_spectral_norm),
            (NEW, lambda layer: torch_nn.utils.parametrize.remove_parametrizations(layer, "weight")),
        ):
            for layer in self.pair(kind, self.LAYERS[1][0]):
                remove(layer.eval())
                self.assertIsInstance(layer.weight, torch_nn.Parameter)
                weights.append(layer.weight)
        self.assert_close(weights[0], weights[1])
        self.assert_close(weights[2], weights[3])

    def test_half_weights_and_what_is_refused(self):
        ours, theirs = self.pair(NEW, lambda: torch_nn.Linear(6, 4).bfloat16())
        self.assertEqual(ours.parametrizations.weight[0]._u.dtype, torch.bfloat16)
        self.assert_close(ours.weight, theirs.weight, rtol=0.03, atol=0.01)
        self.assertEqual(ours.parametrizations.weight[0]._u.dtype, torch.bfloat16)
        with self.assertRaises(ValueError):
            nn.utils.parametrizations.spectral_norm(torch_nn.ReLU())
        with self.assertRaises(ValueError):
            nn.utils.spectral_norm(torch_nn.Linear(2, 2), n_power_iterations=0)
        self.assertIs(nn.utils.clip_grad_norm_, torch_nn.utils.clip_grad_norm_)
        self.assertIs(nn.utils.parametrizations.orthogonal, torch_nn.utils.parametrizations.orthogonal)


class LayerTests(Case):
    def test_activations(self):
        x = torch.tensor([-3.0, -0.0, 0.0, 0.5, 90.0, float("inf"), -float("inf"), float("nan")])
        for ours, theirs in (
            (nn.LeakyReLU(0.2), torch_nn.LeakyReLU(0.2)),
            (nn.LeakyReLU(-0.2), torch_nn.LeakyReLU(-0.2)),
            (nn.Tanh(), torch_nn.Tanh()),
            (nn.Sigmoid(), torch_nn.Sigmoid()),
        ):
            self.assertIn(type(ours).__mro__[1], type(theirs).__mro__)
            self.assert_close(ours(x), theirs(x), equal_nan=True)
            for dtype in (torch.float64, torch.bfloat16):
                self.compare(ours, theirs, *leaves(torch.randn(3, 4, 2, 2).to(dtype)), rtol=2.0**-7, atol=2.0**-8)
            maps = torch.randn(2, 3, 4, 4).contiguous(memory_format=LAST)
            self.assertTrue(ours(maps).is_contiguous(memory_format=LAST))
        y = torch.ones(4) * -1
        self.assertEqual(nn.LeakyReLU(0.5, inplace=True)(y).data_ptr(), y.data_ptr())
        self.assert_close(y, torch.full((4,), -0.5))

    def test_upsampling(self):
        x = torch.randn(2, 3, 4, 5)
        for settings in ({"scale_factor": 2}, {"scale_factor": (3.0, 1.0)}, {"size": (8, 15)}, {"scale_factor": 1.5}, {"size": (6, 5)}):
            ours, theirs = nn.UpsamplingNearest2d(**settings), torch_nn.UpsamplingNearest2d(**settings)
            self.compare(ours, theirs, *leaves(x), rtol=1e-5, atol=1e-5)
        self.compare(nn.Upsample(scale_factor=2, mode="bilinear"), torch_nn.Upsample(scale_factor=2, mode="bilinear"), *leaves(x))
        self.compare(nn.Upsample(scale_factor=2), torch_nn.Upsample(scale_factor=2), *leaves(x[0]))
        self.assertTrue(F.interpolate(x.contiguous(memory_format=LAST), scale_factor=2).is_contiguous(memory_format=LAST))
        with self.assertRaises(ValueError):
            F.interpolate(x, size=(8, 10), scale_factor=2)

    def test_mean_squared_error(self):
        x, t = leaves(torch.randn(5, 7), torch.randn(5, 7))
        for reduction in ("mean", "sum", "none"):
            self.compare(nn.MSELoss(reduction=reduction), torch_nn.MSELoss(reduction=reduction), x, t)
        self.compare(nn.MSELoss(), torch_nn.MSELoss(), x.t(), t.detach().t())
        loss = nn.MSELoss()(x.half(), t.half())
        self.assertEqual(loss.dtype, torch.float32)
        self.assert_close(loss, torch_functional.mse_loss(x.half().float(), t.half().float()))

    def test_gan_losses(self):
        real, generated = leaves(3 * torch.randn(6, 1), 3 * torch.randn(8))
        bce = torch_functional.binary_cross_entropy_with_logits

        def logistic(r, g):
            return bce(r, torch.ones_like(r)) + bce(g, torch.zeros_like(g))

        self.compare(nn.DiscriminatorLoss(), logistic, real, generated)
        self.compare(nn.DiscriminatorLoss("hinge"), lambda r, g: (1 - r).relu().mean() + (1 + g).relu().mean(), real, generated)
        self.compare(lambda r, g: nn.DiscriminatorLoss()(r, g), logistic, real.detach(), generated)
        self.compare(nn.GeneratorLoss(), lambda g: bce(g, torch.ones_like(g)), generated)
        self.compare(nn.GeneratorLoss("hinge"), lambda g: -g.mean(), generated)
        loss, summary = nn.DiscriminatorLoss()(real, generated, return_summary=True)
        self.assertFalse(summary.requires_grad)
        self.assert_close(loss.detach(), summary[0] + summary[1])
        self.assert_close(summary[2:], torch.stack([(real > 0).float().mean(), (generated > 0).float().mean()]))
        loss, summary = nn.GeneratorLoss()(generated, return_summary=True)
        self.assert_close(summary, torch.stack([loss.detach(), (generated > 0).float().mean()]))
        with self.assertRaises(ValueError):
            nn.GeneratorLoss("saturating")

    def test_minibatch_deviation(self):
        def plain(x):
            sets = x.view(4, -1, *x.shape[1:])
            deviation = (sets.var(0, unbiased=False) + 1e-8).sqrt().flatten(1).mean(1)
            return torch.cat([x, deviation.repeat(4).view(-1, *[1] * (x.dim() - 1)).expand(-1, 1, *x.shape[2:])], 1)

        for shape in ((8, 3, 2, 2), (4, 5), (8, 2, 3)):
            self.compare(nn.MinibatchDeviation(), plain, *leaves(torch.randn(shape)))
        with self.assertRaisesRegex(ValueError, "groupSize"):
            nn.MinibatchDeviation(3)(torch.randn(4, 5))

    def test_differentiable_augment(self):
        x = torch.randn(6, 3, 8, 8)
        self.assert_close(transforms.DifferentiableAugment(p=0.0)(x), x)
        self.assert_close(transforms.DifferentiableAugment(p=torch.zeros(()))(x), x)
        augment = transforms.DifferentiableAugment()
        y = augment(x, key=KEY)
        self.assert_close(augment(x.contiguous(memory_format=LAST), key=KEY), y, check_stride=False)
        self.assert_close(augment(x[2:4], torch.tensor([2, 3]), key=KEY), y[2:4])
        self.assertFalse(torch.equal(augment(x), augment(x)))
        bright = transforms.DifferentiableAugment((0.25, 0.25), 0, 0, 0, 0)(x)
        self.assert_close(bright, x + 0.25)
        contrast = transforms.DifferentiableAugment(0, 0, (0.5, 0.5), 0, 0)(x)
        self.assert_close(contrast, 0.5 * (x + x.mean((1, 2, 3), keepdim=True)))
        box = transforms.DifferentiableAugment(0, 0, 0, 0, 0.5)(torch.ones_like(x))
        self.assertTrue(((box == 0).sum((1, 2, 3)) >= 3 * 4).all() and box.max() == 1)
        self.assertIs(F.differentiable_augment(x, training=False), x)


class LengthTests(Case):
    def test_padding_is_no_part_of_a_batch(self):
        lengths = torch.tensor([5, 0, 2])
        counts = (torch.arange(5) < lengths.view(3, 1)).view(3, 1, 5)
        x, other = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
        padded = x.masked_fill(~counts, float("nan"))
        for ours, theirs, inputs in (
            (nn.BatchNorm1d(4), lambda y, r: y, []),
            (nn.BatchNormReLU(4), lambda y, r: y.relu(), []),
            (nn.BatchNormAddReLU(4), lambda y, r: (y + r).relu(), [other]),
        ):
            layer = torch_nn.BatchNorm1d(4)
            flat = x.movedim(1, 2)[counts[:, 0]].requires_grad_()
            expected = torch.zeros(3, 5, 4).masked_scatter(counts.movedim(1, 2), layer(flat)).movedim(2, 1)
            expected = theirs(expected, other).masked_fill(~counts, 0)
            given = padded.clone().requires_grad_()
            y = ours(given, *inputs, lengths=lengths)
            self.assert_close(y, expected)
            dy = torch.randn_like(y)
            (dx,), (dflat,) = torch.autograd.grad(y, given, dy), torch.autograd.grad(expected, flat, dy)
            self.assert_close(dx.movedim(1, 2)[counts[:, 0]], dflat)
            self.assertEqual(dx.masked_fill(counts, 0).count_nonzero(), 0)
            self.assert_close(ours.running_var, layer.running_var)
            ours.eval(), layer.eval()
            expected = theirs(layer(x), other).masked_fill(~counts, 0)
            self.assert_close(ours(padded, *inputs, lengths=lengths), expected)
            with torch.no_grad():
                self.assert_close(ours(padded, *inputs, lengths=lengths), expected)


if __name__ == "__main__":
    unittest.main()
