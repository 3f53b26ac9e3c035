#!/usr/bin/env python3
"""How soon each fault of a dependency is answered: the table of tests/wire/test_faults.py, timed.

    .venv/bin/python benchmarks/faults.py

The limits are those of the tests: LLM 2 s, embedder 1 s, Qdrant 1 s.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--durations=0", "--durations-min=0"),
            *("tests/wire/test_faults.py", "-k", "test_a_fault_is_told"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    slowest: dict[str, tuple[float, str]] = {}
    for line in done.stdout.splitlines():
        if " call " in line:
            seconds, _, test = line.split(maxsplit=2)
            fault, _, route = test.partition("[")[2].rstrip("]").rpartition("-")
            slowest[fault] = max(slowest.get(fault, (0.0, "")), (float(seconds[:-1]), route))
    print("| fault | slowest route | the whole test, s |\n|---|---|---|")
    for fault, (took, route) in slowest.items():
        print(f"| {fault} | {route} | {took:.2f} |")


if __name__ == "__main__":
    main()
