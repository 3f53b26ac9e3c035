"""Processes that do the same at the same moment."""

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.service import ROOT


def at_once(work: Callable[[Path], None], paths: Sequence[Path], processes: int) -> None:
    """Let so many do `work`, of a module's top, on one of `paths` after another, in step."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload([work.__module__])
    together = forkserver.Barrier(processes)
    started = [
        forkserver.Process(target=_in_step, args=(work, paths, together)) for _ in range(processes)
    ]
    with pytest.MonkeyPatch.context() as environment:
        # Their server imports the module once, if it finds it, and each is forked from that.
        environment.setenv("PYTHONPATH", str(ROOT))
        for process in started:
            process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0] * processes


def _in_step(work: Callable[[Path], None], paths: Sequence[Path], together: Any) -> None:
    try:
        for path in paths:
            together.wait(30)
            work(path)
    except BaseException:
        together.abort()  # the others need not wait for this one
        raise
