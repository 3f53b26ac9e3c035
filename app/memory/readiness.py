"""Checks the dependencies for /ready: in parallel, in bounded time, and once for many callers."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypedDict

from app.errors import ServiceError

BOUND_S = 2.0
FRESH_S = 1.0


ESSENTIAL = ("vector_store", "history", "maintenance")
"""Dependencies without which no request can be served. Without a model, reads, searches by words
and changes of metadata still work."""


class Check(TypedDict, total=False):
    """The result of a check. `code` and `detail` are those of a failure, and the detail says what
    to do. Where the check passed, `detail` is a note, such as what happened at the start."""

    status: str
    latency_ms: float
    code: str
    detail: str


class Readiness:
    """Runs named checks; each raises a ServiceError when it fails."""

    def __init__(self, checks: Mapping[str, Callable[[], str | None]]) -> None:
        self._checks = checks
        self._threads = ThreadPoolExecutor(len(checks), "ready")
        self._asking = threading.Lock()
        self._running: dict[str, Future[Check]] = {}
        self._last: dict[str, Check] = {}
        self._asked_at = -FRESH_S

    def __call__(self) -> dict[str, Check]:
        """The state of each dependency, at most a second old."""
        with self._asking:
            if time.monotonic() - self._asked_at >= FRESH_S:
                self._last = self._ask()
                self._asked_at = time.monotonic()
            return self._last

    def _ask(self) -> dict[str, Check]:
        for name, check in self._checks.items():
            # A check that still hangs is waited for, and not started again.
            if name not in self._running or self._running[name].done():
                # In the request's context, so that log lines of the check have its id.
                self._running[name] = self._threads.submit(copy_context().run, _run, check)
        wait(self._running.values(), timeout=BOUND_S)
        return {
            name: future.result() if future.done() else _late()
            for name, future in self._running.items()
        }


def summary(checks: Mapping[str, Check]) -> str:
    """`ok`, `degraded` where some requests cannot be served, or `failed` where none can."""
    broken = {name for name, check in checks.items() if check["status"] == "failed"}
    if broken & {*ESSENTIAL}:
        return "failed"
    return "degraded" if broken else "ok"


def _run(check: Callable[[], str | None]) -> Check:
    started = time.perf_counter()
    try:
        note = check()
    except ServiceError as error:
        return {"status": "failed", "code": error.code, "detail": error.detail}
    well: Check = {"status": "ok", "latency_ms": round((time.perf_counter() - started) * 1000, 1)}
    return well | {"detail": note} if note else well


def _late() -> Check:
    detail = f"No answer within {BOUND_S:.0f} s."
    return {"status": "failed", "code": "no_answer", "detail": detail}
