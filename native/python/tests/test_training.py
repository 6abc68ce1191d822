"""The training script of examples/, with PyTorch's layers and with this library's."""

import sys
import unittest
from pathlib import Path

from .with_torch import DEVICE, torch  # isort: skip
from torch import nn as torch_nn
from torch import optim as torch_optim

import kernels
from kernels.torch import nn, optim, transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import train as script  # noqa: E402


@unittest.skipUnless(DEVICE.type == "cpu", "the script trains on the CPU")
@unittest.skipUnless(script.DATA.is_dir(), f"Fashion-MNIST is not in {script.DATA}; KERNELS_DATA names its folder")
class TrainingTests(unittest.TestCase):
    def test_without_chance_both_take_the_same_steps(self):
        ours, theirs = (script.train(*layers, count=500, epochs=1, p=0.0)[0] for layers in ((nn, optim), (torch_nn, torch_optim)))
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=0.02, atol=0.01)
        self.assertLess(abs(ours[0] - theirs[0]), 1e-5)

    def test_the_same_accuracy_is_reached(self):
        both = (nn, optim), (torch_nn, torch_optim)
        (ours, right), (theirs, theirs_right) = (script.train(*layers, count=1000, epochs=2) for layers in both)
        self.assertAlmostEqual(ours[0], theirs[0], delta=0.2)
        self.assertGreater(right, 0.7)
        self.assertLess(abs(right - theirs_right), 0.04)

    def test_a_seed_repeats_a_run_bit_for_bit(self):
        runs = [script.train(nn, optim, count=200, epochs=1) for _ in range(2)]
        self.assertEqual(*runs)


@unittest.skipUnless(hasattr(torch, "compile"), "PyTorch 1 compiles nothing")
class CompileTests(unittest.TestCase):
    def test_a_compiled_network_breaks_at_the_calls_of_the_library(self):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNormReLU(8), nn.Dropout2d(0.2), nn.MaxPool2d(2), nn.DropBlock2d(0.1, 2),
            nn.ConvTranspose2d(8, 4, 3), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Dropout(0.1),
            nn.Linear(8, 3),
        )  # fmt: skip
        x, t, results = torch.randn(6, 3, 8, 8), torch.randint(3, (6,)), []
        for compiled in (net, torch.compile(net, backend="eager")):
            torch.manual_seed(2)
            with self.assertNoLogs("torch._dynamo", "WARNING"):
                loss = nn.CrossEntropyLoss()(compiled(x) * 2, t)
            results.append(torch.autograd.grad(loss, list(net.parameters())))
        torch.testing.assert_close(*results, rtol=0, atol=0)

    def test_a_compiled_step_does_what_the_program_does(self):
        losses = []
        for compiled in (False, True):
            torch.manual_seed(1)
            net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNormReLU(8, p=0.1), nn.Flatten(), nn.Linear(8 * 36, 3))
            augment, mix = transforms.Augment(8, crop="window", padding=1, mean=[0.5], std=[0.25]), transforms.MixUp(0.4)
            optimizer = optim.AdamW(net.parameters(), lr=0.01, max_grad_norm=1.0)
            images, labels = torch.randint(256, (6, 3, 8, 8), dtype=torch.uint8), torch.randint(3, (6,))

            def step(net=net, augment=augment, mix=mix, optimizer=optimizer, images=images, labels=labels):
                optimizer.zero_grad()
                mixed, others, shares = mix(augment(images), labels)
                logits = net(mixed)
                loss = nn.CrossEntropyLoss()(logits * 2, labels, others, shares)
                loss.backward()
                optimizer.step()
                kernels.relu_forward(logits.detach(), logits.detach())
                return loss.detach() + logits.detach().sum()

            with self.assertNoLogs("torch._dynamo.convert_frame", "WARNING"):  # which tells of code that is compiled ever again
                run = torch.compile(step, backend="eager") if compiled else step
                losses.append([run().item() for _ in range(12)])
        self.assertEqual(*losses)

    def test_methods_and_functions_are_left_as_they_are(self):
        p = torch.nn.Parameter(torch.ones(2))
        p.grad = torch.ones(2)
        torch.compile(optim.SGD([p], 0.25).step, backend="eager")()
        self.assertEqual(p.tolist(), [0.75, 0.75])
        self.assertEqual(torch.compile(nn.functional.relu, backend="eager")(-p).tolist(), [0, 0])


if __name__ == "__main__":
    unittest.main()
