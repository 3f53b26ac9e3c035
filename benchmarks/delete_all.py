#!/usr/bin/env python3
"""delete_all of 1,000 memories of one user among 10,000, against stock mem0 in process.

.venv/bin/python benchmarks/delete_all.py
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import openai_stub, ours, stock_mem0
from benchmarks.load import median

ROUNDS = 5
SIZE = 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        service = stack.enter_context(ours(stub, Path(tmp)))
        mem0 = stack.enter_context(stock_mem0(stub, Path(tmp) / "mem0"))
        service.grow(9000, users=20)
        taken = []
        for _ in range(ROUNDS):
            service.grow(SIZE, users=1)
            ours_of_user = service.service.ask("get_all", user_id="user-0", limit=1)["total"]
            started = time.perf_counter()
            deleted = service.service.ask("delete_all", user_id="user-0")["deleted"]
            taken.append((time.perf_counter() - started) * 1000)
            if deleted != ours_of_user:
                sys.exit(f"{deleted} deleted of {ours_of_user}")
        mem0.grow(SIZE, users=1)
        theirs = mem0.ask("timed", "delete_all", {"user_id": "user-0"}) * 1000
        mine = median(taken)
        print(f"delete_all of {SIZE}: {mine:.0f} ms, mem0 in process {theirs:.0f} ms", end="")
        print(f", {theirs / mine:.0f} times ours; each: {[round(ms) for ms in taken]}")


if __name__ == "__main__":
    main()
