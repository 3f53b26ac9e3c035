"""Builds the answer of a scrape: what this process counted, and gauges that are read from the
stores at each scrape."""

import platform
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from app.config import VERSION, shared_metrics
from app.errors import ServiceError
from app.observability.metrics import OWN
from app.observability.queue import Jobs, Queue


class Memories:
    """Collects the number of stored memories.

    The store is asked at most once in FRESH_S seconds, and a scrape waits for it at most BOUND_S
    seconds, so that it does not hang when the store does. Without an answer there is no sample.
    """

    FRESH_S = 10.0
    BOUND_S = 1.0

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._thread = ThreadPoolExecutor(1, "metrics")
        self._asking = threading.Lock()
        self._asked_at = 0.0
        self._asked: Future[int] | None = None

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "memory_service_memories",
            "Memories that are stored. Absent where the store does not answer.",
        )
        number = self._known()
        if number is not None:
            family.add_metric([], number)
        yield family

    def _known(self) -> int | None:
        with self._asking:
            now = time.monotonic()
            old = self._asked is None or now - self._asked_at >= self.FRESH_S
            if self._asked is None or (old and self._asked.done()):
                self._asked, self._asked_at = self._thread.submit(self._count), now
            asked = self._asked
        try:
            return asked.result(timeout=self.BOUND_S)
        except (ServiceError, TimeoutError):
            return None


class Build:
    """Collects the versions of the service and of Python."""

    def collect(self) -> Iterator[Metric]:
        about = {"version": VERSION, "python": platform.python_version()}
        yield InfoMetricFamily("memory_service_build", "Which version this is.", about)


def exposition(count: Callable[[], int], queue: Callable[[], Queue]) -> Callable[[], bytes]:
    """A function that makes the answer of a scrape, in Prometheus's text format 0.0.4. `count`
    returns how many memories are stored, `queue` the state of the job queue."""
    registry = CollectorRegistry()
    folder = shared_metrics()
    if folder:
        MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # no types either
    else:
        registry.register(OWN)
    registry.register(Memories(count))
    registry.register(Jobs(queue))
    registry.register(Build())
    return lambda: generate_latest(registry)
