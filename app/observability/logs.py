"""The logging configuration of the service, of gunicorn and of the libraries."""

import json
import logging
import re
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from app.observability.trace import trace

log = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="-")

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""The form of a request id from outside that is safe to log."""


class _OfRequest(logging.Filter):
    """Adds the id and the trace of the current request to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = trace.get()
        record.request_id = request_id.get()
        record.trace_id = current.id if current else ""
        record.trace = f" trace={current.id}" if current else ""
        return True


class _Text(logging.Formatter):
    """Formats lines for people."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """The traceback. Within a request it has the types of the errors but not their messages,
        which may quote a user's text."""
        if request_id.get() == "-":
            return super().formatException(ei)
        return "\n".join(line.rstrip() for line in _places(ei[1]))


class _Json(_Text):
    """Formats each record as one JSON object a line, with the record's `fields` in it."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": record.__dict__.get("request_id", "-"),
        }
        if trace_id := record.__dict__.get("trace_id"):
            entry["trace_id"] = trace_id
        entry |= record.__dict__.get("fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _places(error: BaseException | None) -> list[str]:
    lines: list[str] = []
    while error is not None:
        lines += [type(error).__name__, *traceback.format_tb(error.__traceback__)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return lines


def catch_all() -> None:
    """Log what Python would otherwise write to stderr itself: warnings, and errors that end a
    thread. Each serving process calls it once."""
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    # No format of ours shows the caller, thread or process of a record, and finding them out is a
    # fifth of the cost of a line. See "Optimization" in Python's Logging HOWTO.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value:
        name = ended.thread.name if ended.thread else "-"
        exc_info = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        log.critical("the thread %s ended", name, exc_info=exc_info)


def log_config(level: str, form: str = "text") -> dict[str, Any]:
    """The configuration for logging.config.dictConfig; `form` is text or json."""
    line = "%(asctime)s %(levelname)s [%(request_id)s]%(trace)s %(name)s: %(message)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": _OfRequest}},
        "formatters": {"text": {"()": _Text, "format": line}, "json": {"()": _Json}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["request"],
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "app": {"level": level},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            # mem0 logs the texts of users, also in warnings and errors. Its failures reach us as
            # exceptions, and we log those without texts.
            "mem0": {"level": logging.CRITICAL + 1},
        },
    }
