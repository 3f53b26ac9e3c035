"""What a scrape shows: what was counted, and what is asked of the stores just then."""

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
    """How many memories are stored, asked of the store at a scrape.

    At most every FRESH_S seconds whoever scrapes, and never waited for longer than BOUND_S: a
    scrape must not hang because the store does. Without an answer there is no sample.
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
    """Which version this is."""

    def collect(self) -> Iterator[Metric]:
        about = {"version": VERSION, "python": platform.python_version()}
        yield InfoMetricFamily("memory_service_build", "Which version this is.", about)


def exposition(count: Callable[[], int], queue: Callable[[], Queue]) -> Callable[[], bytes]:
    """What makes the answer of a scrape, in Prometheus's text format 0.0.4. `count` says how
    many memories are stored, `queue` how many jobs wait and run."""
    registry = CollectorRegistry()
    folder = shared_metrics()
    if folder:
        MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # nor this
    else:
        registry.register(OWN)
    registry.register(Memories(count))
    registry.register(Jobs(queue))
    registry.register(Build())
    return lambda: generate_latest(registry)
