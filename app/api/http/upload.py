"""Reads a body in pieces while it is sent. Its size is not limited, but its sender must not be too
slow, see app.server.receiving."""

from collections.abc import Sequence

from flask import request

from app.errors import InvalidRequest, UnsupportedType

RECEIVE = "memory_service.receive"  # app.server.worker sets it
JSON = ("application/json",)
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")


class Upload:
    """The body of the current request. Raises UnsupportedType where its type is not in `types`."""

    def __init__(self, types: Sequence[str]) -> None:
        if request.mimetype not in types:
            raise UnsupportedType(f"Send this body as {types[0]}.")
        body, receive = request.environ["wsgi.input"], request.environ.get(RECEIVE)
        self._body = receive(body) if receive else body
        self._length = request.content_length
        self._received = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises InvalidRequest where it is not whole."""
        try:
            data: bytes = self._body.read(size)
        except OSError:  # a chunked body ended before its last chunk
            raise _cut_off() from None
        self._received += len(data)
        if not data and self._length is not None and self._received < self._length:
            raise _cut_off()
        return data


def _cut_off() -> InvalidRequest:
    return InvalidRequest(
        "The body is not whole: the connection ended before it, or nothing came for too long."
    )
