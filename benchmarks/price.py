#!/usr/bin/env python3
"""The price of what stands on the hot path, in CPU ms of a get and of an add with infer=false.

    .venv/bin/python benchmarks/price.py [NAME=VALUE ...]

Each service differs from the one as shipped by one setting; more are taken from the command line.
The journal's price is journal.py's, a key's is keys.py's.
"""

import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import floor, in_turn, openai_stub, ours
from benchmarks.load import median

ROUTES = ["get", "add, infer=false"]
SETTINGS = ["LOG_LEVEL=WARNING"]


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        shipped = Path(tmp) / "shipped"
        shipped.mkdir()
        services = {"as shipped": stack.enter_context(ours(stub, shipped))}
        for number, setting in enumerate([*SETTINGS, *sys.argv[1:]]):
            name, _, value = setting.partition("=")
            folder = Path(tmp) / str(number)
            folder.mkdir()
            services[setting] = stack.enter_context(ours(stub, folder, **{name: value}))
        for service in services.values():
            service.grow(500)
        services["bare Flask"] = stack.enter_context(floor(Path(tmp) / "floor"))
        for route in ROUTES:
            found = in_turn(
                {
                    name: partial(each.load, "get" if name == "bare Flask" else route, 8, 1.5)
                    for name, each in services.items()
                },
                3,
            )
            for name, taken in found.items():
                print(f"{route}, {name}: {median([one.cpu_ms for one in taken]):.2f} ms")


if __name__ == "__main__":
    main()
