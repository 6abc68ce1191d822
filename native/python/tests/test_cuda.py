"""PyTorch's CUDA tensors: on its current stream, with the CPU's random bits. Skipped where there is no GPU."""

import copy
import unittest

from .with_torch import torch  # isort: skip

import kernels
from kernels.torch import nn, optim, synchronize, transforms
from kernels.torch.nn import functional as F

KEY = (42, 7)
DEVICES = "cpu", "cuda"


def maps(*shape):
    return torch.randn(shape or (4, 8, 6, 6))


def labels(*shape, classes=5):
    return torch.randint(classes, shape)


LAYERS = {
    "AdaptiveAvgPool2d": lambda: (nn.AdaptiveAvgPool2d(1), maps()),
    "AlphaDropout": lambda: (nn.AlphaDropout(0.3), maps()),
    "AttentionDropout": lambda: (nn.AttentionDropout(0.2, causal=True), maps()),
    "AvgPool2d": lambda: (nn.AvgPool2d(3, 2, 1), maps()),
    "BatchNorm1d": lambda: (nn.BatchNorm1d(8), maps(6, 8, 5)),
    "BatchNorm2d": lambda: (nn.BatchNorm2d(8), maps()),
    "BatchNorm3d": lambda: (nn.BatchNorm3d(8), maps(3, 8, 2, 3, 2)),
    "BatchNormAddReLU": lambda: (nn.BatchNormAddReLU(8, p=0.2), maps(), maps()),
    "BatchNormReLU": lambda: (nn.BatchNormReLU(8, p=0.2), maps()),
    "BiasDropoutResidual": lambda: (nn.BiasDropoutResidual(6, 0.3, 0.2), maps(), maps()),
    "Conv2d": lambda: (nn.Conv2d(8, 16, 3, padding=1), maps()),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(8, 4, 3, stride=2), maps()),
    "CrossEntropyLoss": lambda: (nn.CrossEntropyLoss(label_smoothing=0.1, z_loss=1e-3), maps(7, 5), labels(7)),
    "DiscriminatorLoss": lambda: (nn.DiscriminatorLoss(), maps(6, 1), maps(8)),
    "DropBlock1d": lambda: (nn.DropBlock1d(0.2, 3), maps(4, 8, 12)),
    "DropBlock2d": lambda: (nn.DropBlock2d(0.2, 3), maps()),
    "DropBlock3d": lambda: (nn.DropBlock3d(0.2, 2), maps(2, 3, 5, 4, 3)),
    "Dropout": lambda: (nn.Dropout(0.3), maps()),
    "Dropout1d": lambda: (nn.Dropout1d(0.3), maps(4, 8, 5)),
    "Dropout2d": lambda: (nn.Dropout2d(0.3), maps()),
    "Dropout3d": lambda: (nn.Dropout3d(0.3), maps(4, 8, 2, 3, 2)),
    "EmbeddingDropout": lambda: (nn.EmbeddingDropout(5, 4, p=0.3), labels(3, 7)),
    "GaussianDropout": lambda: (nn.GaussianDropout(0.3), maps()),
    "GaussianNoise": lambda: (nn.GaussianNoise(0.2), maps()),
    "GeneratorLoss": lambda: (nn.GeneratorLoss("hinge"), maps(6, 1)),
    "LeakyReLU": lambda: (nn.LeakyReLU(0.1), maps()),
    "Linear": lambda: (nn.Linear(6, 5), maps()),
    "MSELoss": lambda: (nn.MSELoss(), maps(), maps()),
    "MaxPool2d": lambda: (nn.MaxPool2d(2), maps()),
    "MinibatchDeviation": lambda: (nn.MinibatchDeviation(2), maps()),
    "ReLU": lambda: (nn.ReLU(), maps()),
    "Sigmoid": lambda: (nn.Sigmoid(), maps()),
    "StochasticDepth": lambda: (nn.StochasticDepth(0.5, relu=True), maps(), maps()),
    "Tanh": lambda: (nn.Tanh(), maps()),
    "Upsample": lambda: (nn.Upsample(scale_factor=2), maps()),
    "UpsamplingNearest2d": lambda: (nn.UpsamplingNearest2d(scale_factor=2), maps()),
    "VariationalDropout": lambda: (nn.VariationalDropout(0.3), maps(5, 4, 8)),
}

TRANSFORMS = {
    "Augment": lambda: transforms.Augment(8, crop="window", padding=2, horizontal_flip=0.5, mean=[0.5], std=[0.25]),
    "ColorJitter": lambda: transforms.ColorJitter(0.5, 0.5, 0.5, 0.1),
    "CutMix": transforms.CutMix,
    "Cutout": lambda: transforms.Cutout(3),
    "DifferentiableAugment": transforms.DifferentiableAugment,
    "MixUp": lambda: transforms.MixUp(0.4),
    "Normalize": lambda: transforms.Normalize([0.5], [0.25]),
    "RandAugment": transforms.RandAugment,
    "RandomAdjustSharpness": lambda: transforms.RandomAdjustSharpness(2.0),
    "RandomAutocontrast": transforms.RandomAutocontrast,
    "RandomCrop": lambda: transforms.RandomCrop(8, 2),
    "RandomEqualize": transforms.RandomEqualize,
    "RandomErasing": lambda: transforms.RandomErasing(1.0, value="random"),
    "RandomHorizontalFlip": transforms.RandomHorizontalFlip,
    "RandomPosterize": lambda: transforms.RandomPosterize(3),
    "RandomResizedCrop": lambda: transforms.RandomResizedCrop(6),
    "RandomRotation": lambda: transforms.RandomRotation(30),
    "RandomSolarize": lambda: transforms.RandomSolarize(0.5),
    "RandomVerticalFlip": transforms.RandomVerticalFlip,
    "TrivialAugmentWide": transforms.TrivialAugmentWide,
}


@unittest.skipUnless(torch.cuda.is_available(), "PyTorch has no CUDA device")
class CudaTests(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(4)

    def same(self, function, *inputs, tolerance=1e-4, gradients=True):
        """Results, gradients and what a layer keeps are on the GPU, on a stream of its own, those of the CPU."""
        found = []
        for device in DEVICES:
            stream = torch.cuda.Stream() if device == "cuda" else None
            if stream is not None:
                stream.wait_stream(torch.cuda.current_stream())
            torch.manual_seed(4)
            with torch.cuda.stream(stream):
                layer = copy.deepcopy(function).to(device) if isinstance(function, torch.nn.Module) else function
                moved = [x.detach().to(device).requires_grad_(gradients and x.is_floating_point()) for x in inputs]
                y = layer(*moved)
                y, *more = y if isinstance(y, tuple) else (y,)
                kept = [] if layer is function else [*layer.parameters(), *layer.buffers()]
                if gradients:
                    (y * torch.linspace(-1, 1, y.numel(), device="cpu").view(y.shape).to(y)).sum().backward()
            if stream is not None:
                stream.synchronize()
            of_inputs = [x.grad for x in (*moved, *kept) if x.grad is not None]
            found.append([x.detach().cpu() for x in (y, *more, *kept, *of_inputs)])
        self.assertEqual(*map(len, found))
        for a, b in zip(*found):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)

    def test_every_layer(self):
        self.assertEqual(set(LAYERS), set(nn.modules.__all__))
        for name, make in LAYERS.items():
            layer, *inputs = make()
            with self.subTest(name):
                self.same(layer, *inputs)
            if any(x.dim() == 4 for x in inputs):
                with self.subTest(name, channels="last"):
                    self.same(layer, *(x.contiguous(memory_format=torch.channels_last) for x in inputs))

    def test_every_transform(self):
        self.assertEqual(set(TRANSFORMS), set(transforms.__all__))
        for name, make in TRANSFORMS.items():
            with self.subTest(name):
                mixes, images = name in ("MixUp", "CutMix"), torch.rand(6, 3, 8, 8)
                differentiable = mixes or name in ("Cutout", "DifferentiableAugment", "RandomErasing")
                self.same(make(), images, *([labels(6)] if mixes else []), tolerance=1e-3, gradients=differentiable)
                if not differentiable:
                    self.same(make(), (images * 255).byte(), tolerance=1e-3, gradients=False)

    def test_every_optimizer(self):
        for made in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Lion):
            with self.subTest(made.__name__):
                results, starts, slopes = [], [maps(5, 4), maps(7)], [[maps(5, 4), maps(7)] for _ in range(3)]
                for device in DEVICES:
                    params = [torch.nn.Parameter(p.to(device, copy=True)) for p in starts]
                    optimizer = made(params, lr=0.01, weight_decay=0.1, max_grad_norm=1.0)
                    for step in slopes:
                        for p, slope in zip(params, step):
                            p.grad = slope.to(device, copy=True)
                        optimizer.step()
                    results.append([*(p.detach().cpu() for p in params), torch.tensor(optimizer.grad_norm(), device="cpu")])
                for a, b in zip(*results):
                    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)

    def test_bad_data_is_reported_by_the_wait_for_its_stream(self):
        stream, x, bad = torch.cuda.Stream(), torch.randn(2, 3, device="cuda"), torch.tensor([0, 3], device="cuda")
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            loss = F.cross_entropy(x, bad, reduction="none")
            with self.assertRaisesRegex(kernels.BadDataError, "element 1"):
                synchronize()
            synchronize("cuda")
        self.assertEqual(loss.isnan().tolist(), [False, True])
        synchronize()

    def test_ops(self):
        x, w, b = torch.randn(4, 8, 6, 6), torch.randn(16, 8, 3, 3), torch.randn(16)
        self.same(lambda x: F.dropout(x, 0.3, key=KEY), x, tolerance=0)
        self.same(lambda x: F.dropout2d(x, 0.3, key=KEY), x.contiguous(memory_format=torch.channels_last), tolerance=0)
        self.same(lambda x: F.drop_block(x, 0.2, 3, key=KEY), x)
        self.same(lambda x: F.attention_dropout(x, 0.2, causal=True, key=KEY), x)
        self.same(lambda x: F.batch_norm_relu(x, None, None, training=True, p=0.2, key=KEY), x)
        self.same(lambda x, w, b: F.conv2d(x, w, b, padding=1), x, w, b)
        self.same(lambda x: F.max_pool2d(x, 2), x)
        labels = torch.randint(5, (7,))
        self.same(lambda z: F.cross_entropy(z, labels.to(z.device), label_smoothing=0.1), torch.randn(7, 5))

    def test_training(self):
        losses = []
        for device in DEVICES:
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
            torch.testing.assert_close(y.cpu(), F.dropout(torch.ones(1024, device="cpu"), 0.5, key=(42, offset)), rtol=0, atol=0)


if __name__ == "__main__":
    unittest.main()
