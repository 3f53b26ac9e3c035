"""How a backup finds the process that has the embedded store, and has its writers wait.

A Unix socket in DATA_DIR, which leads to nothing but a pause: what is backed up is read from the
files, by who has the right to. A client is told HELD when nothing is half written any more, says
DONE when it has its copy, and is told KEPT if the pause lasted until then. Whatever ends the
client or the service ends the connection, and so the pause.
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
HOLD_S = 8.0  # a writer waits 10 s at most, see locks.LOCK_S
ANSWER_S = 30.0  # longer than writers at work are waited for
CLOSE_S = 5.0
LONGEST = 100  # bytes of a path that every system takes for a socket


class NobodyThere(Exception):
    """No process of the service listens."""


class Door:
    """Lets one client after the other hold the writers up."""

    def __init__(
        self,
        folder: Path,
        still: Callable[[], AbstractContextManager[None]],
        seconds: float = HOLD_S,
    ) -> None:
        """For the one process that has the store in `folder` open. Within `still()` nobody
        writes; it raises a ServiceError where that cannot be. A pause lasts
        `seconds` at most."""
        self._seconds = seconds
        self._still = still
        self._closing = False
        self._client: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        # Before it has a name: nobody else may connect at any time.
        os.fchmod(self._listener.fileno(), 0o600)
        (folder / NAME).unlink(missing_ok=True)  # of a process that was killed
        with _short(folder / NAME) as address:
            self._listener.bind(address)
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name="backup door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End a pause that is held, and let nobody in any more."""
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
            with client, suppress(OSError):  # it went away, or took too long
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
    """To the service that has `folder` open. Raises NobodyThere; PermissionError for another
    user's."""
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
    """Nobody writes within. Raises ServiceBusy, also at the end where that was not kept: then
    what was done within must not be used."""
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
    """`path` as an address: a long one by way of its open folder, which Linux has a short name
    for."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
