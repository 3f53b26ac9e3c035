"""One logging set-up for the service, its server and its libraries."""

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
"""An id of somebody else's that may stand in a line of the log."""


class _OfRequest(logging.Filter):
    """Gives each record the request it belongs to, and its trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = trace.get()
        record.request_id = request_id.get()
        record.trace_id = current.id if current else ""
        record.trace = f" trace={current.id}" if current else ""
        return True


class _Text(logging.Formatter):
    """Lines for people."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Of a request's failure, where it was and of what kind, but not its message: that may
        quote a user's text."""
        if request_id.get() == "-":
            return super().formatException(ei)
        return "\n".join(line.rstrip() for line in _places(ei[1]))


class _Json(_Text):
    """One JSON object a line. What a line is about stands in `fields` of its record."""

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
    """Log what Python itself would write to stderr past every logger: warnings, and what ends a
    thread. For the process that serves, once."""
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    # No line says where it was written, or by which thread: to find out is a fifth of its cost.
    # As "Optimization" in Python's Logging HOWTO has it.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value:
        name = ended.thread.name if ended.thread else "-"
        exc_info = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        log.critical("the thread %s ended", name, exc_info=exc_info)


def log_config(level: str, form: str = "text") -> dict[str, Any]:
    """For logging.config.dictConfig; `form` is text or json."""
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
            # It logs the texts of users, also in warnings and errors. What fails there is
            # raised, and logged without them where it is translated.
            "mem0": {"level": logging.CRITICAL + 1},
        },
    }
