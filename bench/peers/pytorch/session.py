"""PyTorch's side of `kernels bench`: times the cases that the command sends (conversation.py of ../python).

Started with "package", the folder of this library's Python package, it times the library too, in the same process, on the same stream
and by the same events, and on CUDA both once more as replays of a graph. Then `prepare` brings the "tensors" of the problem and tells
"ours", the function that is timed, or "oursUnsupported"; and `run` gives "ours": {"cold", "warm"} and "graph": {"ours", "theirs"} besides.

Works with PyTorch 1.13 and later, on the CPU and on CUDA; needs nothing but PyTorch.
"""

import re

import torch
import ours
import activations, augmentation, dropout, losses, normalization, optimizers, penalties, pooling, products  # each registers its ops
from case import OPS, Case, Unsupported
from conversation import FLUSH_BYTES, first_sentence, time_cpu

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
            # Everything is queued on one stream, which, unlike the default one, can be captured.
            torch.cuda.set_stream(torch.cuda.Stream())
        self.flush = torch.zeros(FLUSH_BYTES, dtype=torch.uint8, device=self.device)
        self.call = self.ours = self.graphs = None
        self.kernels, reply = None, {}
        if request.get("package"):
            try:
                self.kernels = ours.load(request["package"])
                reply["kernels"] = self.kernels.__version__
            except ImportError as error:
                reply["noKernels"] = first_sentence(error)
        facts = [f"CUDA {torch.version.cuda}" if self.device.type == "cuda" else blas_in_use()]
        if request.get("keepsHeap"):
            facts.append("heap kept")  # by the environment of this process; only the name is made here
        return {**reply, "name": f"PyTorch {torch.__version__} ({', '.join(facts)})", "threads": torch.get_num_threads()}

    def prepare(self, request):
        self.call = self.ours = self.graphs = None  # frees the tensors of the problem before
        key = request["op"], request["problem"]["entry"]
        if key not in OPS:
            return {"unsupported": "no counterpart"}
        call, make = OPS[key]
        try:
            self.call = make(Case(request, self.device))
            self.call()
        except (Unsupported, NotImplementedError, RuntimeError) as error:
            self.call = None
            return {"unsupported": first_sentence(error)}
        return {"call": call, **(self.prepare_ours(request) if self.kernels else {})}

    def prepare_ours(self, request):
        try:
            name, self.ours = ours.prepare(self.kernels, request, self.device)
            self.ours()
        except (Unsupported, RuntimeError) as error:
            self.ours = None
            return {"oursUnsupported": first_sentence(error)}
        if self.device.type != "cuda":
            return {"ours": name}
        try:
            self.graphs = {"ours": capture(self.ours), "theirs": capture(self.call)}
        except RuntimeError as error:  # some of PyTorch's recipes wait for the device
            return {"ours": name, "noGraph": first_sentence(error)}
        return {"ours": name}

    def run(self, request):
        timed = self.time_cuda if self.device.type == "cuda" else lambda call: time_cpu(call, lambda: self.flush.fill_(1))
        reply = {}
        if self.ours is not None:
            cold, warm = timed(self.ours)
            reply["ours"] = {"cold": cold, "warm": warm}
        reply["cold"], reply["warm"] = timed(self.call)
        if self.graphs is not None:
            reply["graph"] = {side: self.time_cuda(graph.replay)[0] for side, graph in self.graphs.items()}
        return reply

    def time_cuda(self, call):
        start, middle, end = (torch.cuda.Event(enable_timing=True) for _ in range(3))
        if hasattr(torch.cuda, "_sleep"):
            torch.cuda._sleep(HEAD_START)
        self.flush.fill_(1)
        start.record()
        call()
        middle.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(middle), middle.elapsed_time(end)


def capture(call):
    """A graph of one call on the current stream, on which it has run before: what it needs is there."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        call()
    return graph


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
