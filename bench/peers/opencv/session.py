"""OpenCV's side of `kernels bench` (conversation.py of ../python): one image after the other, by as many threads as the CPU device uses.

Each image is one thread's work. OpenCV's own threads, which share the rows of one image among them, are off: images of a data set are too
small for them.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import augmentation  # registers its ops
from conversation import FLUSH_BYTES, time_cpu
from registry import OPS, Unsupported


class Case:
    """A problem of the case table: its settings by name, and a pool of threads."""

    def __init__(self, request, pool):
        self.settings = request["problem"]
        self.dtype = request["dtype"]
        self.pool = pool

    def __getitem__(self, name):
        return self.settings[name]


class Session:
    def start(self, request):
        cv2.setNumThreads(0)
        self.pool = ThreadPoolExecutor(request["threads"])
        self.buffer = np.zeros(FLUSH_BYTES, dtype=np.uint8)
        self.call = None
        return {"name": f"OpenCV {cv2.__version__}", "threads": request["threads"]}

    def prepare(self, request):
        self.call = None  # frees the images of the problem before
        key = request["op"], request["problem"]["entry"]
        if key not in OPS:
            return {"unsupported": "no counterpart"}
        call, make = OPS[key]
        try:
            self.call = make(Case(request, self.pool))
            self.call()
        except (Unsupported, cv2.error) as error:
            self.call = None
            return {"unsupported": str(error)}
        return {"call": call}

    def run(self, request):
        cold, warm = time_cpu(self.call, lambda: self.buffer.fill(1))
        return {"cold": cold, "warm": warm}
