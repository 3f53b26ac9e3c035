"""The Prometheus metrics that the service counts.

A single worker keeps them in memory. Several workers write them to files in a shared folder, and
the worker that answers a scrape adds them up. That is prometheus_client's multiprocess mode. The
library chooses it at its import, which therefore must come after `config.share_metrics`. A scrape
costs more in that mode, so a single worker does not use it.

The values of labels are bounded: templates of routes, models and engines as the settings name them,
codes of the closed set of errors. They are never an id, a path or a text.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client import exposition as exposed

from app.config import shared_metrics
from app.errors import InvalidRequest, ServiceError

# Else each counter had a second series with the time of its start, which Prometheus does not need.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

CONTENT_TYPE = exposed.CONTENT_TYPE_PLAIN_0_0_4

OWN = CollectorRegistry()
"""The metrics of this process. scrape.py builds what a scrape shows."""

HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
MODEL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STORE_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 5)

_MODEL = ("kind", "provider", "model")

HTTP_SECONDS = Histogram(
    "memory_service_http_request_duration_seconds",
    "Requests and the time until their answer was whole. An address that is no route is"
    ' route="unmatched".',
    ("method", "route", "status"),
    registry=OWN,
    buckets=HTTP_BUCKETS,
)
HTTP_IN_FLIGHT = Gauge(
    "memory_service_http_requests_in_flight",
    "Requests that are being answered.",
    registry=OWN,
    multiprocess_mode="livesum",
)
MODEL_SECONDS = Histogram(
    "memory_service_model_call_duration_seconds",
    "Calls to models, each try by itself; kind is llm, embedder, or list (of what Ollama has).",
    _MODEL,
    registry=OWN,
    buckets=MODEL_BUCKETS,
)
MODEL_FAILURES = Counter(
    "memory_service_model_failures_total",
    "Calls to models that failed, each try by itself, by the code of their failure.",
    (*_MODEL, "code"),
    registry=OWN,
)
MODEL_RETRIES = Counter(
    "memory_service_model_retries_total",
    "Calls to models that were made once more.",
    _MODEL,
    registry=OWN,
)
MODEL_TOKENS = Counter(
    "memory_service_model_tokens_total",
    "Tokens as the providers count them; direction is input or output.",
    (*_MODEL, "direction"),
    registry=OWN,
)
STORE_SECONDS = Histogram(
    "memory_service_store_call_duration_seconds",
    "Calls to the vector store; engine is edge (embedded) or server.",
    ("engine", "operation"),
    registry=OWN,
    buckets=STORE_BUCKETS,
)
STORE_FAILURES = Counter(
    "memory_service_store_failures_total",
    "Calls to the vector store that failed, by the code of their failure.",
    ("engine", "operation", "code"),
    registry=OWN,
)
JOURNAL_SETTLED = Counter(
    "memory_service_journal_entries_settled_total",
    "Writes that were cut off and are settled; outcome is finished or undone.",
    ("outcome",),
    registry=OWN,
)
IMPORTED = Counter(
    "memory_service_imported_total",
    "What imports brought; outcome is imported, unchanged, replaced, skipped or failed.",
    ("outcome",),
    registry=OWN,
)
for _outcome in ("imported", "unchanged", "replaced", "skipped", "failed"):
    IMPORTED.labels(_outcome)
JOBS_ENDED = Counter(
    "memory_service_jobs_ended_total",
    "Asynchronous adds that ended; outcome is succeeded, failed or cancelled.",
    ("outcome",),
    registry=OWN,
)
JOBS_RETRIED = Counter(
    "memory_service_jobs_retried_total",
    "Attempts at asynchronous adds that failed and are made again, by the code of their failure.",
    ("code",),
    registry=OWN,
)
for _outcome in ("succeeded", "failed", "cancelled"):
    JOBS_ENDED.labels(_outcome)
for _outcome in ("finished", "undone"):
    JOURNAL_SETTLED.labels(_outcome)  # shown as 0 from the start, so that the first is an increase
if shared_metrics() is None:
    ProcessCollector(namespace="memory_service", registry=OWN)  # CPU, memory, open files


@cache  # used by every request, for few routes and statuses
def http_seconds(method: str, route: str, status: int) -> Histogram:
    return HTTP_SECONDS.labels(method, route, status)


P = ParamSpec("P")
T = TypeVar("T")


class ModelMeter:
    """Counts the calls to one model."""

    def __init__(self, kind: str, name: str) -> None:
        """`kind` is llm, embedder or list; `name` is provider/model."""
        self.name = name
        provider, _, model = name.partition("/")
        self._labels = (kind, provider, model)
        self._seconds = MODEL_SECONDS.labels(*self._labels)
        self._retries = MODEL_RETRIES.labels(*self._labels)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Times the call made within; a ServiceError that leaves it is counted as a failure."""
        started = time.perf_counter()
        try:
            yield
        except ServiceError as error:
            self.failed(error)
            raise
        finally:
            self._seconds.observe(time.perf_counter() - started)

    def around(self, ask: Callable[P, T]) -> Callable[P, T]:
        """`ask`, with each of its calls counted and timed."""

        @wraps(ask)
        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.call():
                return ask(*args, **kwargs)

        return counted

    def failed(self, error: ServiceError) -> None:
        MODEL_FAILURES.labels(*self._labels, error.code).inc()

    def retried(self) -> None:
        self._retries.inc()

    def tokens(self, taken: int | None, given: int | None = None) -> None:
        """Count the input and output tokens that the provider reports, if it does."""
        for direction, number in (("input", taken), ("output", given)):
            if isinstance(number, int) and number > 0:  # some services report nonsense
                MODEL_TOKENS.labels(*self._labels, direction).inc(number)


def store_call(engine: str, operation: str, call: Callable[P, T]) -> Callable[P, T]:
    """`call`, timed; a ServiceError that leaves it is counted as a failure."""
    seconds = STORE_SECONDS.labels(engine, operation)

    @wraps(call)
    def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        started = time.perf_counter()
        try:
            return call(*args, **kwargs)
        except InvalidRequest:
            raise  # the caller's mistake, not a failure of the store
        except ServiceError as error:
            STORE_FAILURES.labels(engine, operation, error.code).inc()
            raise
        finally:
            seconds.observe(time.perf_counter() - started)

    return timed
