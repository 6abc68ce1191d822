"""The examples of the README run."""

import contextlib
import importlib.util
import io
import re
import unittest
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


class ReadmeTests(unittest.TestCase):
    def test_examples(self):
        examples = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        self.assertEqual(len(examples), 3)
        for example in examples:
            with self.subTest(example.splitlines()[0]), contextlib.redirect_stdout(io.StringIO()):
                if "import torch" in example and importlib.util.find_spec("torch") is None:
                    self.skipTest("PyTorch is not installed")
                exec(compile(example, str(README), "exec"), {"__name__": "example"})


if __name__ == "__main__":
    unittest.main()
