"""A TCP server in a thread, which the other stand-ins are made from."""

import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Self


class LocalServer(ThreadingTCPServer):
    """On a free port of 127.0.0.1, within its context. Each connection has a thread."""

    daemon_threads = True

    def __init__(self, handler: type[BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.port: int = self.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
