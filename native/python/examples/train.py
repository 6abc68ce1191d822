"""Trains a small convolutional network on Fashion-MNIST. The one import below is all that changes between PyTorch and this library:

    python3 train.py             PyTorch's own layers and optimizer
    python3 train.py kernels     this library's
"""

import gzip
import os
import sys
import time
from pathlib import Path

import torch

if "kernels" in sys.argv[1:]:
    from kernels.torch import nn, optim
else:
    from torch import nn, optim

DATA = Path(os.environ.get("KERNELS_DATA", "/usr/share/datasets/fashion-mnist"))


def read(part, count):
    """Images in [-1, 1] and labels of a part, "train" or "t10k"."""

    def items(name, header):
        with gzip.open(DATA / f"{part}-{name}.gz") as file:
            return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8, offset=header)

    images = items("images-idx3-ubyte", 16).view(-1, 1, 28, 28)[:count]
    return images / 127.5 - 1, items("labels-idx1-ubyte", 8)[:count].long()


def network(nn, p):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Dropout2d(p),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 10),
    )  # fmt: skip


def train(nn, optim, count=2000, epochs=4, p=0.2, seed=0):
    """The losses of all steps, and the share of test images that are right."""
    (x, t), (test_x, test_t) = read("train", count), read("t10k", 2000)
    torch.manual_seed(seed)
    net, loss_of = network(nn, p), nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    order, losses = torch.Generator().manual_seed(seed), []
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(50):
            optimizer.zero_grad()
            loss = loss_of(net(x[batch]), t[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
    net.eval()
    with torch.no_grad():
        return losses, (net(test_x).argmax(1) == test_t).float().mean().item()


if __name__ == "__main__":
    started = time.perf_counter()
    losses, accuracy = train(nn, optim)
    seconds = time.perf_counter() - started
    print(f"{nn.__name__}: loss {losses[0]:.4f} to {losses[-1]:.4f}, {accuracy:.1%} of the test images right, {seconds:.1f} s")
