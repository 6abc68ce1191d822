"""kernels.torch.optim against torch.optim, step by step."""

import copy
import gc
import io
import unittest

from .with_torch import torch  # isort: skip
from torch import optim as torch_optim

from kernels.torch import optim

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "eps": 1e-6}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "betas": (0.8, 0.9)}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5, "alpha": 0.9, "weight_decay": 0.1}),
]


def parameters(dtype=torch.float32):
    torch.manual_seed(2)
    shapes = ((3, 4), (5,), (0,), (), (2, 3, 2, 2))
    made = [torch.randn(shape).to(dtype) for shape in shapes]
    made[-1] = made[-1].contiguous(memory_format=torch.channels_last)
    return [torch.nn.Parameter(p) for p in made]


def gradients(params, step, none=False):
    torch.manual_seed(100 + step)
    for p in params:
        gradient = torch.randn(p.shape).to(p.dtype)
        if none or p.grad is None:
            p.grad = gradient.clone(memory_format=torch.preserve_format)
        else:
            p.grad.copy_(gradient)


class OptimizerTests(unittest.TestCase):
    def assert_same(self, ours, theirs, **tolerance):
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a.detach(), b.detach(), check_stride=False, **tolerance)

    def test_steps(self):
        for name, settings in SETTINGS:
            for dtype in (torch.float32, torch.float64):
                with self.subTest(name=name, dtype=dtype, **settings):
                    ours, theirs = parameters(dtype), parameters(dtype)
                    a, b = getattr(optim, name)(ours, **settings), getattr(torch_optim, name)(theirs, **settings)
                    for step in range(4):
                        for params, optimizer in ((ours, a), (theirs, b)):
                            optimizer.zero_grad(set_to_none=step == 2)
                            gradients(params, step, none=step == 3)
                            optimizer.param_groups[0]["lr"] = settings["lr"] / (step + 1)
                            optimizer.step()
                        self.assert_same(ours, theirs, rtol=1e-5, atol=1e-6)

    def test_states_go_from_one_to_the_other_and_back(self):
        for name, settings in SETTINGS:
            with self.subTest(name=name, **settings):
                ours, theirs = parameters(), parameters()
                a, b = getattr(optim, name)(ours, **settings), getattr(torch_optim, name)(theirs, **settings)
                for step in range(3):
                    gradients(ours, step), a.step()
                    gradients(theirs, step), b.step()
                file = io.BytesIO()
                torch.save(a.state_dict(), file)
                file.seek(0)
                ours_again, theirs_again = copy.deepcopy(ours), copy.deepcopy(ours)
                again = getattr(optim, name)(ours_again, **settings)
                again.load_state_dict(torch.load(file))
                of_theirs = getattr(optim, name)(theirs_again, **settings)
                of_theirs.load_state_dict(b.state_dict())
                kept = {key for key, value in b.state_dict()["state"].get(0, {}).items() if value is not None}
                self.assertEqual(set(a.state_dict()["state"][0]), kept | {"step"})
                for step in range(3, 5):
                    for params, optimizer in ((ours, a), (ours_again, again), (theirs_again, of_theirs), (theirs, b)):
                        gradients(params, step)
                        optimizer.step()
                self.assert_same(ours, ours_again, rtol=0, atol=0)
                self.assert_same(ours, theirs, rtol=1e-5, atol=1e-6)
                self.assert_same(theirs_again, theirs, rtol=1e-5, atol=1e-6)

    def test_lion(self):
        (p, q), m = [torch.nn.Parameter(torch.linspace(-1, 1, 6)) for _ in range(2)], torch.zeros(6)
        optimizer = optim.Lion([p], lr=0.1, weight_decay=0.3)
        for step in range(3):
            gradients([p], step)
            optimizer.step()
            with torch.no_grad():
                q.mul_(1 - 0.1 * 0.3).add_((0.9 * m + 0.1 * p.grad).sign(), alpha=-0.1)
                m = 0.99 * m + 0.01 * p.grad
        self.assert_same([p, optimizer.state[p]["exp_avg"]], [q, m])

    def test_groups_frozen_parameters_and_newcomers(self):
        ours, theirs = parameters(), parameters()
        made = []
        for params, of in ((ours, optim), (theirs, torch_optim)):
            optimizer = of.AdamW([{"params": params[:2]}, {"params": params[2:], "lr": 0.1, "weight_decay": 0}], lr=0.01)
            gradients(params[1:], 0)
            optimizer.step()
            gradients(params, 1)
            optimizer.step()
            new = torch.nn.Parameter(torch.ones(3))
            optimizer.add_param_group({"params": [new], "lr": 0.5})
            gradients([*params, new], 2)
            optimizer.step()
            made.append([*params, new])
        self.assert_same(*made, rtol=1e-5, atol=1e-6)

    def test_parameters_that_move(self):
        ours, theirs = parameters(), parameters()
        a, b = optim.Adam(ours, lr=0.05), torch_optim.Adam(theirs, lr=0.05)
        for step in range(4):
            for params, optimizer in ((ours, a), (theirs, b)):
                gradients(params, step)
                optimizer.step()
                if step == 1:
                    params[0].data = params[0].data.clone() * 2
        self.assert_same(ours, theirs, rtol=1e-5, atol=1e-6)

    def test_a_gradient_that_is_gone_is_an_error(self):
        p = torch.nn.Parameter(torch.ones(2))
        optimizer = optim.SGD([p], 0.1)
        gradients([p], 0)
        optimizer.step()
        p.grad = None
        with self.assertRaisesRegex(RuntimeError, "no gradient"):
            optimizer.step()

    def test_clipping_decay_and_norms(self):
        ours, theirs = parameters(), parameters()
        a, b = optim.SGD(ours, 0.1, max_grad_norm=0.5), torch_optim.SGD(theirs, 0.1)
        gradients(ours, 0), gradients(theirs, 0)
        norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        a.step(), b.step()
        self.assert_same(ours, theirs, rtol=1e-5, atol=1e-6)
        self.assertAlmostEqual(a.grad_norm(), norm.item(), 4)
        p = torch.nn.Parameter(torch.tensor([0.05, -2.0, 3.0]))
        p.grad = torch.zeros(3)
        optim.SGD([{"params": [p], "l1": 1.0}], 0.1).step()
        self.assertEqual([round(x, 4) for x in p.tolist()], [0, -1.9, 2.9])
        p = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
        p.grad = torch.zeros(2, 2)
        optim.SGD([{"params": [p], "max_norm": 1.0}], 0.1).step()
        self.assert_same([p], [torch.tensor([[0.6, 0.8], [0.3, 0.4]])])
        p.grad = torch.full((2, 2), float("inf"))
        optim.SGD([p], 0.1, skips_non_finite=True).step()
        self.assertTrue(p.isfinite().all())

    def test_halves_with_a_master_copy_and_averages(self):
        p = torch.nn.Parameter(torch.ones(4).bfloat16())
        optimizer = optim.SGD([p], lr=1.0, master_copy=True, average_decay=0.5)
        for _ in range(64):
            p.grad = torch.full((4,), 1e-3).bfloat16()
            optimizer.step()
        self.assertAlmostEqual(p[0].item(), 1 - 64e-3, delta=4e-3)
        self.assertEqual(optimizer.state[p]["average_weight"].dtype, torch.float32)

    def test_state_outlives_its_optimizer(self):
        p = torch.nn.Parameter(torch.ones(1000))
        optimizer = optim.Adam([p], lr=0.1)
        gradients([p], 0)
        optimizer.step()
        moment, expected = optimizer.state[p]["exp_avg"], 0.1 * p.grad
        del optimizer
        gc.collect()
        self.assert_same([moment], [expected])

    def test_schedulers_closures_and_what_is_refused(self):
        p = torch.nn.Parameter(torch.ones(2))
        optimizer = optim.SGD([p], lr=1.0)
        scheduler = torch_optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

        def closure():
            optimizer.zero_grad()
            loss = p.sum()
            loss.backward()
            return loss

        self.assertEqual(optimizer.step(closure).item(), 2)
        scheduler.step()
        optimizer.step(closure)
        self.assertEqual(p.tolist(), [-0.5, -0.5])
        self.assertIs(optim.lr_scheduler, torch_optim.lr_scheduler)
        for bad in (lambda: optim.SGD([p], 0.1, maximize=True), lambda: optim.AdamW([p], nonsense=1), lambda: copy.deepcopy(optimizer)):
            with self.assertRaises((ValueError, TypeError)):
                bad()

    def test_settings_are_looked_at_when_an_optimizer_is_made(self):
        p = torch.nn.Parameter(torch.ones(2))
        for bad, name in (
            (lambda: optim.SGD([p], lr=-1.0), "LearningRate"),
            (lambda: optim.AdamW([p], betas=(0.9, 1.0)), "Beta2"),
            (lambda: optim.AdamW([{"params": [p], "eps": -1.0}]), "Epsilon"),
            (lambda: optim.Adam([p], loss_scale=0.0), "LossScale"),
            (lambda: optim.SGD([p], 0.1, weight_decay_mode="none"), "'none' is no"),
        ):
            with self.assertRaisesRegex(ValueError, name):
                bad()
        optimizer = optim.SGD([p], 0.5)
        with self.assertRaisesRegex(ValueError, "LearningRate"):
            optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": float("nan")})
        self.assertEqual(len(optimizer.param_groups), 1)

    def test_a_loss_scale_may_lie_in_memory(self):
        p, scale = torch.nn.Parameter(torch.zeros(2)), torch.tensor([4.0])
        optimizer = optim.SGD([p], 1.0, loss_scale=scale)
        for _ in range(2):
            p.grad = torch.full((2,), 8.0)
            optimizer.step()
            scale.fill_(8)
        self.assertEqual(p.tolist(), [-3, -3])

    def test_autograd_finds_out_that_parameters_were_changed(self):
        layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True)
        y = layer(x)
        gradients(list(layer.parameters()), 0)
        optim.SGD(layer.parameters(), 0.1).step()
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            y.sum().backward()


if __name__ == "__main__":
    unittest.main()
