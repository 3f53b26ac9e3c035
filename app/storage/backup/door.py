"""A Unix socket in DATA_DIR by which a backup makes the writers of the running service wait.

The socket offers only that pause: the backup reads the files themselves, with the rights of its own
user. The service sends HELD when no write is half done, the client sends DONE when it has its copy,
and the service answers KEPT if the pause lasted until then. When either side ends, the connection
ends, and the pause with it.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from app.errors import ServiceBusy, ServiceError

log = logging.getLogger(__name__)

NAME = "backup.sock"
HELD, DONE, KEPT = b"held\n", b"done\n", b"kept\n"
HOLD_S = 8.0  # the longest pause; a writer waits 10 s at most, see locks.LOCK_S
ANSWER_S = 30.0  # longer than the service waits for running writes
CLOSE_S = 5.0
LONGEST = 100  # bytes; every system accepts a socket's path of this length


class NobodyThere(Exception):
    """No process of the service listens."""


class Door:
    """The service's side: lets one client at a time pause the writers."""

    def __init__(
        self,
        folder: Path,
        still: Callable[[], AbstractContextManager[None]],
        seconds: float = HOLD_S,
    ) -> None:
        """To be made by the process that has the store in `folder` open. `still()` is a context in
        which no writer writes; it may raise a ServiceError. A pause lasts `seconds` at most."""
        self._seconds = seconds
        self._still = still
        self._closing = False
        self._client: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        # Before the bind, so that no other user can connect at any time.
        os.fchmod(self._listener.fileno(), 0o600)
        (folder / NAME).unlink(missing_ok=True)  # left by a killed process
        with _short(folder / NAME) as address:
            self._listener.bind(address)
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name="backup door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the current pause, and accept no further client."""
        self._closing = True
        for one in filter(None, (self._listener, self._client)):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(CLOSE_S)
        self._listener.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed, or there are too many open files
                time.sleep(0.1)
                continue
            self._client = client
            with client, suppress(OSError):  # the client is gone, or took too long
                self._serve(client)
            self._client = None

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(self._seconds)
        try:
            with self._still():
                client.sendall(HELD)
                if client.recv(len(DONE)) != DONE or self._closing:
                    return
                client.sendall(KEPT)
        except ServiceError as error:
            client.sendall(json.dumps(error.detail).encode() + b"\n")


def connect(folder: Path) -> socket.socket:
    """A connection to the service that has `folder` open. Raises NobodyThere, and PermissionError
    where it belongs to another user."""
    service = socket.socket(socket.AF_UNIX)
    try:
        with _short(folder / NAME) as address:
            service.connect(address)
    except BaseException as error:
        service.close()
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            raise NobodyThere from error
        raise
    service.settimeout(ANSWER_S)
    return service


@contextmanager
def pause(service: socket.socket) -> Iterator[None]:
    """Held while no writer writes. Raises ServiceBusy, also at the end, where the pause did not
    last so long; what was read within must then not be used."""
    with _told():
        answer = service.makefile("rb").readline()
    if answer != HELD:
        raise ServiceBusy(json.loads(answer) if answer else LOST)
    yield
    with _told():
        service.sendall(DONE)
        if service.makefile("rb").readline() == KEPT:
            return
    raise ServiceBusy(LOST)


LOST = f"The service ended meanwhile, or its writers would have waited longer than {HOLD_S:.0f} s."


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceBusy(LOST) from error


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """`path` as the address of a socket. A long path is replaced by Linux's short name of its open
    folder."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
