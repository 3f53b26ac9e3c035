"""How many adds are accepted as jobs, beside adds that are done when they answer?

How soon they are answered, p50 and p99, and how many jobs end a second once nothing more is
sent. Each on a service of its own, 8 clients, the embedder by a stub that answers at once, the LLM
by one that takes a second.

python benchmarks/jobs.py
"""

import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.harness import Stub, Target, cpu_s, openai_stub, ours  # noqa: E402
from benchmarks.load import Taken, drive, operations  # noqa: E402

CLIENTS, SECONDS = 8, 8.0
ASYNC = "Prefer: respond-async"
LLM_MS = 1000.0


def sent(target: Target, scenario: str, header: str) -> Taken:
    before = cpu_s(target.service.workers())
    make = partial(operations, scenario, ids=[])
    taken = drive(target.service.port, make, CLIENTS, SECONDS, header)
    taken.cpu_s = cpu_s(target.service.workers()) - before
    return taken


def told(name: str, taken: Taken) -> str:
    failed = f", {len(taken.failed)} failed" if taken.failed else ""
    return (
        f"{name}: {taken.per_second:.0f} a second, p50 {taken.ms(0.5):.1f} ms, "
        f"p99 {taken.ms(0.99):.1f} ms{failed}"
    )


def ended(target: Target) -> float:
    """Jobs a second, from now on for some seconds."""

    def waiting() -> int:
        queue = target.service.http.get("/jobs", params={"limit": 1}).json()
        number: int = queue["pending"] + queue["running"]
        return number

    first, started = waiting(), time.perf_counter()
    time.sleep(SECONDS / 2)
    return (first - waiting()) / (time.perf_counter() - started)


def measure(stub: Stub, name: str, scenario: str, header: str) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = stack.enter_context(ours(stub, folder, MAX_JOBS="1000000"))
        print(told(name, sent(target, scenario, header)), flush=True)
        if header:
            print(f"  then {ended(target):.0f} of them end a second", flush=True)
        target.service.stop(signal.SIGKILL)  # without what was accepted


def main() -> None:
    with openai_stub() as stub:
        stub.set(chat_ms=LLM_MS)
        measure(stub, "as given, done when answered", "add, infer=false", "")
        measure(stub, "as given, as jobs", "add, infer=false", ASYNC)
        measure(stub, "LLM of 1 s, done when answered", "add, infer=true", "")
        measure(stub, "LLM of 1 s, as jobs", "add, infer=true", ASYNC)


if __name__ == "__main__":
    main()
