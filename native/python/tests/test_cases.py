"""Every op whose functions have the names of its verification case, against the scalar reference.

`KERNELS_CASES` names a file of problems: tensors, settings, and what is right. The tests in C# write it; a tensor and a setting find their
parameter by name, as they do when the benches time the library beside PyTorch.
"""

import json
import math
import os
import sys
import unittest
from pathlib import Path

from .with_torch import DEVICE, torch  # isort: skip

import kernels
import kernels.torch  # its tensors

BENCH = Path(__file__).resolve().parents[3] / "bench/peers"
FILE = os.environ.get("KERNELS_CASES")


@unittest.skipUnless(FILE and BENCH.is_dir(), "KERNELS_CASES names no file of problems")
class CaseTests(unittest.TestCase):
    def test_results_are_those_of_the_reference(self):
        sys.path[:0] = [str(BENCH / "pytorch"), str(BENCH / "python")]
        try:
            import ours
            from case import Unsupported
        finally:
            del sys.path[:2]
        done, left = set(), []
        for line in Path(FILE).read_text(encoding="utf-8").splitlines():
            request = json.loads(line)
            name = f"{request['op']} {request['problem']['entry']}"
            with self.subTest(name, reason=request["problem"]["reason"]):
                try:
                    _, function, arguments = ours.bind(kernels, request, DEVICE)
                except Unsupported as error:
                    left.append(f"{name}: {error}")
                    continue
                try:
                    function(**arguments)
                except TypeError as error:  # a parameter has no counterpart in the problem
                    left.append(f"{name}: {error}")
                    continue
                done.add(name)
                given = {ours.plain(key): value for key, value in arguments.items()}
                for spec in request["tensors"]:
                    if spec["expected"] is not None:
                        self.assert_right(spec, given[ours.plain(spec["name"])])
        print(f"{len(done)} entries of ops by name, not {', '.join(left)}", file=sys.stderr)
        self.assertGreater(len(done), 50)

    def assert_right(self, spec, tensor):
        for index, (actual, expected) in enumerate(zip(tensor.double().flatten().tolist(), map(float, spec["expected"]))):
            if actual == expected or (math.isnan(actual) and math.isnan(expected)):
                continue
            error = abs(actual - expected) / (abs(expected) + max(spec["floor"], 2.0**-126))
            self.assertTrue(error <= spec["limit"], f"{spec['name']}[{index}] is {actual}, not {expected}")


if __name__ == "__main__":
    unittest.main()
