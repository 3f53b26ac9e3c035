"""Refuses requests with a 503 while the server has hardly a free thread, instead of queueing."""

from flask import Flask, request

from app.errors import ServiceBusy

FLAG = "memory_service.busy"  # app.server.worker sets it


def init_app(app: Flask) -> None:
    app.before_request(_refuse)


def _refuse() -> None:
    if request.environ.get(FLAG) and request.path != "/health":
        raise ServiceBusy("Too many requests are being answered already; try again.")
