"""Passes bytes on to a server: as they come, out of TLS, or as a proxy does."""

import re
import select
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from socketserver import BaseRequestHandler
from typing import Any

from tests.servers.tcp import LocalServer

CHUNK = 65536
ASKED = re.compile(rb"CONNECT |[A-Z]+ http:")


class Passage(LocalServer):
    """On a free port of 127.0.0.1. With `tls` its side towards the client is TLS; with `proxy` it
    is asked for the target by CONNECT, or by a whole address in each request."""

    def __init__(
        self, target: int, *, tls: ssl.SSLContext | None = None, proxy: bool = False
    ) -> None:
        super().__init__(_Passing)
        self.target = target
        self.tls = tls
        self.proxy = proxy
        self.asked: list[bytes] = []
        """The first line of each request to the proxy."""
        self._passes = threading.Event()
        self._passes.set()

    def pause(self) -> None:
        """Pass nothing on any more: what is sent is taken, and nobody hears of it."""
        self._passes.clear()

    def go_on(self) -> None:
        self._passes.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who does not trust the certificate hangs up."""


class _Passing(BaseRequestHandler):
    server: Passage

    def handle(self) -> None:
        client: socket.socket = self.request
        if self.server.tls:
            client = self.server.tls.wrap_socket(client, server_side=True)
        with client, socket.create_connection(("127.0.0.1", self.server.target)) as target:
            while True:
                # What TLS has read already does not show in its socket.
                ready = [client] if getattr(client, "pending", int)() else []
                for source in ready or select.select([client, target], [], [])[0]:
                    data = source.recv(CHUNK)
                    if not data:
                        return
                    self.server._passes.wait()
                    if source is target:
                        client.sendall(data)
                    elif self.server.proxy and ASKED.match(data):
                        self._asked(data, client, target)
                    else:
                        target.sendall(data)

    def _asked(self, data: bytes, client: socket.socket, target: socket.socket) -> None:
        line, _, rest = data.partition(b"\r\n")
        self.server.asked.append(line)
        method, address, version = line.split(b" ")
        if method == b"CONNECT":
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            return
        path = b"/" + address.split(b"/", 3)[3]
        target.sendall(b" ".join([method, path, version]) + b"\r\n" + rest)


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A new one for 127.0.0.1: the file to trust it by, and what a server shows it with."""
    key, shown = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *made, *subject, "-keyout", key, "-out", shown],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, key)
    with suppress(OSError):
        key.unlink()
    return shown, context
