"""Holds the session of a library, or says that the library is not there."""

import json
import os
import signal
import sys


def main():
    # Replies have the standard output to themselves: what libraries print there goes to standard error.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    try:
        from conversation import converse
        from session import Session
    except ImportError as error:
        sys.stdin.readline()
        print(json.dumps({"error": f"{type(error).__name__}: {error}".split("\n")[0]}), file=replies, flush=True)
        return

    # The command says when it is over, by closing the input; signals to the whole group are for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    converse(Session(), replies)


main()
