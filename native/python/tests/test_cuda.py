"""PyTorch's CUDA tensors: on its current stream, with the CPU's random bits. Skipped where there is no GPU."""

import unittest

from .with_torch import torch  # isort: skip

import kernels
from kernels.torch import nn, optim, transforms
from kernels.torch.nn import functional as F

KEY = (42, 7)


@unittest.skipUnless(torch.cuda.is_available(), "PyTorch has no CUDA device")
class CudaTests(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(4)

    def same(self, function, *inputs, exact=False):
        """Results and gradients on the GPU, on a stream of its own, are those of the CPU."""
        results = []
        for device in ("cpu", "cuda"):
            stream = torch.cuda.Stream() if device == "cuda" else None
            with torch.cuda.stream(stream):
                moved = [x.detach().to(device).requires_grad_(x.is_floating_point()) for x in inputs]
                y = function(*moved)
                y.sum().backward()
            if stream is not None:
                stream.synchronize()
            results.append([y.detach().cpu(), *(x.grad.cpu() for x in moved if x.grad is not None)])
        for a, b in zip(*results):
            torch.testing.assert_close(a, b, **({"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-4}))

    def test_ops(self):
        x, w, b = torch.randn(4, 8, 6, 6), torch.randn(16, 8, 3, 3), torch.randn(16)
        self.same(lambda x: F.dropout(x, 0.3, key=KEY), x, exact=True)
        self.same(lambda x: F.dropout2d(x, 0.3, key=KEY), x.contiguous(memory_format=torch.channels_last), exact=True)
        self.same(lambda x: F.drop_block(x, 0.2, 3, key=KEY), x)
        self.same(lambda x: F.attention_dropout(x, 0.2, causal=True, key=KEY), x)
        self.same(lambda x: F.batch_norm_relu(x, None, None, training=True, p=0.2, key=KEY), x)
        self.same(lambda x, w, b: F.conv2d(x, w, b, padding=1), x, w, b)
        self.same(lambda x: F.max_pool2d(x, 2), x)
        labels = torch.randint(5, (7,))
        self.same(lambda z: F.cross_entropy(z, labels.to(z.device), label_smoothing=0.1), torch.randn(7, 5))
        flipped = [transforms.RandAugment()(x.abs().to(device)[:, :3].contiguous(), key=KEY).cpu() for device in ("cpu", "cuda")]
        torch.testing.assert_close(*flipped, rtol=1e-3, atol=1e-3)

    def test_training(self):
        losses = []
        for device in ("cpu", "cuda"):
            torch.manual_seed(5)
            net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3)).to(device)
            optimizer = optim.AdamW(net.parameters(), lr=0.01, max_grad_norm=1.0)
            x, t = torch.randn(64, 10).to(device), torch.randint(3, (64,)).to(device)
            for _ in range(20):
                optimizer.zero_grad()
                loss = nn.CrossEntropyLoss()(net(x), t)
                loss.backward()
                optimizer.step()
            losses.append(loss.item())
        self.assertAlmostEqual(*losses, delta=1e-3)

    def test_pytorch_captures_the_ops(self):
        x, y = torch.ones(1024, device="cuda"), torch.zeros(1024, device="cuda")
        key, stream = torch.tensor([42, 0], device="cuda"), torch.cuda.Stream()
        with torch.cuda.stream(stream):
            kernels.dropout_forward(x, y, 0.5, key)
            kernels.random_bits_advance(key, 1)
        stream.synchronize()
        key.zero_()[0] = 42
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            kernels.dropout_forward(x, y, 0.5, key)
            kernels.random_bits_advance(key, 1)
        for offset in range(3):
            graph.replay()
            torch.cuda.synchronize()
            torch.testing.assert_close(y.cpu(), F.dropout(torch.ones(1024), 0.5, key=(42, offset)), rtol=0, atol=0)


if __name__ == "__main__":
    unittest.main()
