"""Gauges of the job queue, read from the history at each scrape."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from app.errors import ServiceError


class Queue(Protocol):
    @property
    def pending(self) -> int: ...

    @property
    def running(self) -> int: ...

    @property
    def oldest(self) -> float | None:
        """When the oldest job that has not ended was accepted, in seconds since 1970; None where
        there is none."""


class Jobs:
    """Collects the gauges. All processes share one queue, so any of them can report it. The gauges
    have no samples where the history does not answer."""

    def __init__(self, ask: Callable[[], Queue]) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        number = GaugeMetricFamily(
            "memory_service_jobs",
            "Asynchronous adds that have not ended; state is pending or running.",
            labels=("state",),
        )
        age = GaugeMetricFamily(
            "memory_service_jobs_oldest_age_seconds",
            "How long ago the oldest of them was accepted; 0 where there is none.",
        )
        try:
            queue = self._ask()
        except ServiceError:
            yield from (number, age)
            return
        number.add_metric(["pending"], queue.pending)
        number.add_metric(["running"], queue.running)
        age.add_metric([], 0 if queue.oldest is None else max(0.0, time.time() - queue.oldest))
        yield from (number, age)
