"""A SOCKS5 proxy (RFC 1928) without a password: leads every connection to one server."""

import socket
import threading
from contextlib import suppress
from socketserver import StreamRequestHandler

from tests.servers.tcp import LocalServer

CHUNK = 65536
BY_ADDRESS, BY_NAME = 1, 3
TO_WHOM = {BY_ADDRESS: 4}
ACCEPTED = b"\5\0\0\1\0\0\0\0\0\0"


class Socks(LocalServer):
    """On a free port of 127.0.0.1."""

    def __init__(self, target: int) -> None:
        super().__init__(_Connection)
        self.target = target
        self.asked: list[tuple[str, int]] = []
        """The host and port of each connection that was asked for."""


class _Connection(StreamRequestHandler):
    server: Socks

    def handle(self) -> None:
        _, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.wfile.write(b"\5\0")
        kind = self.rfile.read(4)[3]
        length = self.rfile.read(1)[0] if kind == BY_NAME else TO_WHOM[kind]
        given = self.rfile.read(length)
        host = given.decode() if kind == BY_NAME else socket.inet_ntoa(given)
        self.server.asked.append((host, int.from_bytes(self.rfile.read(2), "big")))
        with socket.create_connection(("127.0.0.1", self.server.target)) as target:
            self.wfile.write(ACCEPTED)
            back = threading.Thread(target=_pass_on, args=(target, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, target)
            back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
