"""PyTorch's side of `kernels bench`: times the cases that the command sends, one JSON object a line, on standard input.

    {"do": "start", "device": "cpu", "threads": 2}       -> {"name": "PyTorch 2.1.0 (OpenBLAS 0.3.21)", "threads": 2}
    {"do": "prepare", "op": "dropout", "dtype": "f32",
     "problem": {"entry": "forward", "shape": [1024]}}   -> {"call": "torch.nn.functional.dropout"} or {"unsupported": "why not"}
    {"do": "run"}                                        -> {"cold": 1.25, "warm": 1.01}    milliseconds of one call each

Any reply may be {"error": "..."} instead; the next request is answered all the same. A repetition is one message, so the command can
take turns between its own runs and these. `cold` follows a rewrite of a large buffer, `warm` follows `cold` at once.

To add an op, write a function under @op(name, entry, what it calls) in a file of its family; it gets the case, makes its tensors and
returns the call to time.
Works with PyTorch 1.13 and later, on the CPU and on CUDA; needs nothing but PyTorch.
"""

import json
import re
import sys
import time

import torch
import augmentation, dropout, losses, normalization, optimizers, penalties, pooling, products  # each registers its ops
from case import OPS, Case, Unsupported

FLUSH_BYTES = 256 << 20  # more than the last-level cache of common devices
REST = 0.03  # seconds in which OpenMP's threads stop waiting actively: what they burn is missing to whoever is timed next
HEAD_START = 2_000_000  # GPU clock cycles, about a millisecond: the host queues everything meanwhile, so its own time is not measured


class Session:
    """Answers requests; keeps the device, the buffer that empties the caches, and the call prepared last."""

    def start(self, request):
        self.device = torch.device(request["device"])
        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        if self.device.type == "cuda":
            if not torch.cuda.is_available():
                raise RuntimeError("this PyTorch has no CUDA device")
            torch.cuda.set_device(self.device)
            # Float products in float precision, as ours are.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.flush = torch.zeros(FLUSH_BYTES, dtype=torch.uint8, device=self.device)
        self.call = None
        facts = [f"CUDA {torch.version.cuda}" if self.device.type == "cuda" else blas_in_use()]
        if request.get("keepsHeap"):
            facts.append("heap kept")  # by the environment of this process; only the name is made here
        return {"name": f"PyTorch {torch.__version__} ({', '.join(facts)})", "threads": torch.get_num_threads()}

    def prepare(self, request):
        self.call = None  # frees the tensors of the problem before
        key = request["op"], request["problem"]["entry"]
        if key not in OPS:
            return {"unsupported": "no counterpart"}
        call, make = OPS[key]
        try:
            self.call = make(Case(request, self.device))
            self.call()
        except (Unsupported, NotImplementedError, RuntimeError) as error:
            self.call = None
            return {"unsupported": first_line(error)}
        return {"call": call}

    def run(self, request):
        cold, warm = self.time_cuda() if self.device.type == "cuda" else self.time_cpu()
        return {"cold": cold, "warm": warm}

    def time_cpu(self):
        self.flush.fill_(1)
        start = time.perf_counter_ns()
        result = self.call()
        middle = time.perf_counter_ns()
        del result  # freeing the result is not part of the op
        again = time.perf_counter_ns()
        result = self.call()
        end = time.perf_counter_ns()
        del result
        time.sleep(REST)
        return (middle - start) / 1e6, (end - again) / 1e6

    def time_cuda(self):
        start, middle, end = (torch.cuda.Event(enable_timing=True) for _ in range(3))
        if hasattr(torch.cuda, "_sleep"):
            torch.cuda._sleep(HEAD_START)
        self.flush.fill_(1)
        start.record()
        self.call()
        middle.record()
        self.call()
        end.record()
        end.synchronize()
        return start.elapsed_time(middle), middle.elapsed_time(end)


def blas_in_use():
    """Which library multiplies matrices on the CPU: it decides about a factor of a hundred, and PyTorch itself does not always know."""
    if torch.backends.mkl.is_available():
        return "MKL"
    torch.mm(torch.ones(2, 2), torch.ones(2, 2))  # whatever is used is loaded now
    names = (
        (r"openblas[^/]*?r(\d[\d.]*\d)", "OpenBLAS"),
        (r"openblas", "OpenBLAS"),
        (r"libblis", "BLIS"),
        (r"libblas", "reference BLAS"),
    )
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            loaded = maps.read()
    except OSError:
        loaded = ""
    for pattern, name in names:
        found = re.search(pattern, loaded)
        if found:
            return f"{name} {found[1]}" if found.groups() else name
    return "unknown BLAS"


def first_line(error):
    return f"{type(error).__name__}: {error}".strip().split("\n")[0]


def converse(replies):
    """Answers every line of standard input by one line to `replies`."""
    session = Session()
    answers = {"start": session.start, "prepare": session.prepare, "run": session.run}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            reply = answers[request["do"]](request)
        except Exception as error:  # the conversation goes on, whatever went wrong
            reply = {"error": first_line(error)}
        print(json.dumps(reply), file=replies, flush=True)
