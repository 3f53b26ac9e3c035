"""Speaks PostgreSQL's protocol just as far as a client is let in, or told why it is not.

After "Message Flow" and "Message Formats" in the chapter "Frontend/Backend Protocol" of
PostgreSQL's manual: an offer of encryption is declined, then the client names user and database,
and is answered by an ErrorResponse or by what the server is. Nobody is asked for a password.
"""

import struct
from socketserver import StreamRequestHandler
from typing import NamedTuple

from tests.servers.tcp import LocalServer

ENCRYPTION = (80877103, 80877104)  # SSLRequest, GSSENCRequest
DECLINED = b"N"


class Refusal(NamedTuple):
    """What the server says instead of letting a client in."""

    state: str
    words: str


class PostgreSQLWire(LocalServer):
    """On a free port of 127.0.0.1. `answer` may be changed while it runs: a refusal, or the
    parameters of a server that lets everybody in."""

    def __init__(self, answer: Refusal | dict[str, str]) -> None:
        super().__init__(_Startup)
        self.answer = answer
        self.url = f"postgresql://somebody:a-secret@127.0.0.1:{self.port}/memories"


class _Startup(StreamRequestHandler):
    server: PostgreSQLWire

    def handle(self) -> None:
        while (head := self.rfile.read(8)) and struct.unpack("!ii", head)[1] in ENCRYPTION:
            self.wfile.write(DECLINED)
        if not head:
            return
        self.rfile.read(struct.unpack("!ii", head)[0] - len(head))
        answer = self.server.answer
        if isinstance(answer, Refusal):
            self.wfile.write(_error(answer))
            return
        self.wfile.write(_message(b"R", struct.pack("!i", 0)))  # AuthenticationOk
        for name, value in answer.items():
            self.wfile.write(_message(b"S", _texts(name, value)))  # ParameterStatus
        self.wfile.write(_message(b"K", struct.pack("!ii", 1, 1)))  # BackendKeyData
        self.wfile.write(_message(b"Z", b"I"))  # ReadyForQuery
        self.rfile.read()


def _error(refusal: Refusal) -> bytes:
    fields = {"S": "FATAL", "V": "FATAL", "C": refusal.state, "M": refusal.words}
    told = b"".join(_texts(f"{kind}{text}") for kind, text in fields.items())
    return _message(b"E", told + b"\0")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _texts(*texts: str) -> bytes:
    return b"".join(text.encode() + b"\0" for text in texts)
