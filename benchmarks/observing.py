"""What counting and logging cost each request: with one worker, and with several.

python benchmarks/observing.py
"""

import io
import logging
import logging.config
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 20_000


def main() -> None:
    for workers in (1, 2):
        print(f"WEB_CONCURRENCY={workers}")
        code = f"import benchmarks.observing as b; b.measure({workers})"
        root = Path(__file__).parent.parent
        subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def measure(workers: int) -> None:
    """In a process of its own: prometheus_client chooses its mode when it is imported."""
    from app.config import share_metrics, shared_metrics

    share_metrics(workers)
    from app.observability import metrics, scrape, trace
    from app.observability.logs import log_config
    from app.storage.history.jobs import QueueState

    def request() -> None:
        metrics.HTTP_IN_FLIGHT.inc()
        metrics.HTTP_IN_FLIGHT.dec()
        metrics.http_seconds("POST", "/memory/search", 200).observe(0.004)

    meter = metrics.ModelMeter("embedder", "local/multilingual-e5-small")

    def model() -> None:
        with meter.call():
            pass

    report("a request counted", request)
    report("a call to a model counted", model)
    report("a call to the store counted", metrics.store_call("edge", "query", lambda: None))
    report("a traceparent read", lambda: trace.parse(f"00-{'4b' * 16}-{'f0' * 8}-01", "a=b"))
    for form in ("text", "json"):
        report(f"a line logged ({form})", line(log_config("INFO", form)))
    answer = scrape.exposition(lambda: 1, lambda: QueueState(0, 0, None, None))
    report("a scrape", answer, rounds=50)
    if folder := shared_metrics():
        for path in [*folder.iterdir()]:
            path.unlink()
        folder.rmdir()


def line(config: dict[str, object]) -> Callable[[], None]:
    logging.config.dictConfig(config)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(io.StringIO())
    log = logging.getLogger("app.api")
    fields = {"method": "POST", "route": "/memory/search", "status": 200, "ms": 4.0, "key_id": "-"}
    text = "%(method)s %(route)s %(status)d %(ms).1f ms key=%(key_id)s"
    return lambda: log.info(text, fields, extra={"fields": fields})


def report(what: str, do: Callable[[], object], rounds: int = ROUNDS) -> None:
    do()
    best = float("inf")
    for _ in range(5):  # the best of five: others use these cores too
        started = time.perf_counter()
        for _ in range(rounds):
            do()
        best = min(best, (time.perf_counter() - started) / rounds)
    print(f"  {what:30} {best * 1e6:8.1f} us")


if __name__ == "__main__":
    main()
