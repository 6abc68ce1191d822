"""How a peer in Python talks with `kernels bench`: one JSON object a line, a request on standard input and its reply.

    {"do": "start", "device": "cpu", "threads": 2}       -> {"name": "PyTorch 2.1.0 (OpenBLAS 0.3.21)", "threads": 2}
    {"do": "prepare", "op": "dropout", "dtype": "f32",
     "problem": {"entry": "forward", "shape": [1024]}}   -> {"call": "torch.nn.functional.dropout"} or {"unsupported": "why not"}
    {"do": "run"}                                        -> {"cold": 1.25, "warm": 1.01}    milliseconds of one call each

Any reply may be {"error": "..."} instead; the next request is answered all the same. A repetition is one message, so the command can
take turns between its own runs and these. `cold` follows a rewrite of a large buffer, `warm` follows `cold` at once.

A session, of the library's folder, answers `start`, `prepare` and `run`. To add an op, write a function under @op(name, entry, what it
calls) in a module that the session imports; it gets the case, makes its tensors and returns the call to time.
"""

import json
import sys
import time

FLUSH_BYTES = 256 << 20  # more than the last-level cache of common devices
REST = 0.03  # seconds in which threads stop waiting actively: what they burn is missing to whoever is timed next


def time_cpu(call, flush):
    """Milliseconds of a call after `flush`, which rewrites a large buffer, and of one right after."""
    flush()
    start = time.perf_counter_ns()
    result = call()
    middle = time.perf_counter_ns()
    del result  # freeing the result is not part of the op
    again = time.perf_counter_ns()
    result = call()
    end = time.perf_counter_ns()
    del result
    time.sleep(REST)
    return (middle - start) / 1e6, (end - again) / 1e6


def first_sentence(error):
    return f"{type(error).__name__}: {error}".strip().split("\n")[0].split(". ")[0]


def converse(session, replies):
    """Answers every line of standard input by one line to `replies`."""
    answers = {"start": session.start, "prepare": session.prepare, "run": session.run}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            reply = answers[request["do"]](request)
        except Exception as error:  # the conversation goes on, whatever went wrong
            reply = {"error": first_sentence(error)}
        print(json.dumps(reply), file=replies, flush=True)
