"""Stands for a pooler as far as a client can tell one: it names a process that is not the server's.

The message is BackendKeyData, see "Message Formats" in PostgreSQL's manual: 'K', its length, the
number of the process, and a secret.
"""

import re
import select
import socket
from socketserver import BaseRequestHandler

from tests.servers.tcp import LocalServer

CHUNK = 65536
KEY_DATA = re.compile(rb"(K\0\0\0\x0c)....", re.DOTALL)
NOBODYS = b"\x7f\xff\xff\xff"


class Pooler(LocalServer):
    """On a free port of 127.0.0.1, before the server on the port `target`."""

    def __init__(self, target: int) -> None:
        super().__init__(_Passing)
        self.target = target

    def before(self, url: str) -> str:
        """The address of the same database, through this."""
        return url.replace(f":{self.target}/", f":{self.port}/")


class _Passing(BaseRequestHandler):
    server: Pooler

    def handle(self) -> None:
        client: socket.socket = self.request
        with socket.create_connection(("127.0.0.1", self.server.target)) as target:
            while True:
                for source in select.select([client, target], [], [])[0]:
                    data = source.recv(CHUNK)
                    if not data:
                        return
                    if source is target:
                        client.sendall(KEY_DATA.sub(rb"\1" + NOBODYS, data))
                    else:
                        target.sendall(data)
