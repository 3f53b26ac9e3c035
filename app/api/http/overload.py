"""Where the server has hardly a thread left, an answer at once instead of a place in a queue."""

from flask import Flask, request

from app.errors import ServiceBusy

FLAG = "memory_service.busy"  # app.server.worker says it


def init_app(app: Flask) -> None:
    app.before_request(_refuse)


def _refuse() -> None:
    if request.environ.get(FLAG) and request.path != "/health":
        raise ServiceBusy("Too many requests are being answered already; try again.")
