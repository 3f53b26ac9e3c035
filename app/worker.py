"""gunicorn's threaded worker, for many short requests. What differs from its own:

- A request must be whole within a time. There each connection that stops in the middle of one
  holds a thread for ever, and one that sends nothing holds it for 5 s.
- Connections that may send a request soon are watched by the threads that serve, see app.turns:
  whoever has answered one takes the next, of whatever connection. There each goes through the main
  loop and back, which is a third of what a bare handler costs. The main loop has those that were
  silent for a second or two.
- A thread that waits for a client lets others have its turn.
- An answer's head and what follows it are sent as one.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import _DEFER, ThreadWorker

from app.turns import TURNS, away, readable

WATCHED_S = 1.0
RESTS_S = 1.0  # how long a thread without a request is kept


class Worker(ThreadWorker):
    """One process with threads that each serve one request at a time."""

    read_timeout = 15.0
    """Seconds; what is not whole by then is read no further: it is answered as a request that
    was cut off, and its connection is closed."""

    def init_process(self) -> None:
        self._serving = 0  # threads
        self._changing = threading.Lock()
        TURNS.open(self._start_thread)
        super().init_process()

    # ---- the main loop

    def run(self) -> None:
        try:
            super().run()
        finally:
            TURNS.close()

    def enqueue_req(self, conn: Any) -> None:
        """A connection is new, or has something to read again."""
        if self.cfg.is_ssl:  # which GUNICORN_CMD_ARGS may say: as gunicorn does it
            super().enqueue_req(conn)
            return
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, PatientSocket(conn.sock), conn.client)
            conn.data_ready = True  # it is waited for before a thread has it
        conn.sock = conn.parser.unreader.sock
        self._expect(conn)

    def notify(self) -> None:
        """What gunicorn's loop calls at least once a second."""
        super().notify()
        TURNS.look_after()
        for conn in TURNS.silent(0 if self.alive else WATCHED_S):
            conn.sock = conn.sock.plain
            self.finish_request(conn, _done(conn.initialized or _DEFER))

    def _start_thread(self) -> bool:
        with self._changing, suppress(RuntimeError):  # the pool may be shut down
            if self._serving < self.cfg.threads:
                self.tpool.submit(self._serve)
                self._serving += 1
                return True
        return False

    def _expect(self, conn: Any) -> None:
        """Its next request."""
        if conn.parser.unreader.buf.getvalue():  # which no event would tell of
            TURNS.ready(conn)
        else:
            TURNS.watch(conn, WATCHED_S)

    # ---- the threads

    def _serve(self) -> None:
        try:
            while conn := TURNS.next(RESTS_S):
                self._serve_one(conn)
        finally:
            with self._changing:
                self._serving -= 1

    def _serve_one(self, conn: Any) -> None:
        conn.sock.begin(self.read_timeout)
        try:
            outcome = _done(self.handle(conn) and not conn.sock.is_late)
        except BaseException as failure:
            outcome = Future()
            outcome.set_exception(failure)
        with suppress(OSError):  # the client is gone
            conn.sock.flush()
        if self.alive and outcome.exception() is None and outcome.result() is True:
            self._expect(conn)
        else:
            conn.sock = conn.sock.plain
            self.method_queue.defer(self.finish_request, conn, outcome)

    def handle_request(self, req: Any, conn: Any) -> Any:
        kept = super().handle_request(req, conn)
        if isinstance(conn.sock, PatientSocket):
            conn.sock.flush()
        return kept


def _done(result: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


class PatientSocket:
    """A client's socket for one thread, which leaves the turn to others where it has to wait."""

    def __init__(self, sock: Any) -> None:
        sock.setblocking(False)
        self.plain = sock
        self._until = 0.0
        self._head = b""
        self._sends_head = False
        self.is_late = False
        """What should have been read was not there in time; nothing more is."""
        self.fileno, self.send = sock.fileno, sock.send
        self.shutdown, self.close = sock.shutdown, sock.close

    def begin(self, seconds: float) -> None:
        """A request: to be read within `seconds`."""
        self._until = time.monotonic() + seconds
        self._sends_head = True

    def recv(self, size: int) -> bytes:
        while not self.is_late:
            left = self._until - time.monotonic()
            try:
                if left > 0:
                    return self.plain.recv(size)  # type: ignore[no-any-return]  # a socket's
            except BlockingIOError:
                if readable(self.plain, left):
                    continue
            self.is_late = True
            with suppress(OSError):  # gone meanwhile; else gunicorn would wait for its end
                self.plain.shutdown(socket.SHUT_RD)
        return b""

    def sendall(self, data: bytes) -> None:
        if self._sends_head:
            self._head, self._sends_head = data, False
            return
        self._send(self._head + data)

    def flush(self) -> None:
        if self._head:
            self._send(self._head)

    def _send(self, data: bytes) -> None:
        self._head = b""
        try:
            sent = self.plain.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            with away(), self._blocking() as sock:
                sock.sendall(memoryview(data)[sent:])

    def sendfile(self, *args: Any, **options: Any) -> Any:
        self.flush()
        with away(), self._blocking() as sock:
            return sock.sendfile(*args, **options)

    @contextmanager
    def _blocking(self) -> Iterator[Any]:
        self.plain.setblocking(True)
        try:
            yield self.plain
        finally:
            self.plain.setblocking(False)

    # What gunicorn says of waiting is not asked: it is this class's.

    def setblocking(self, flag: bool) -> None: ...

    def settimeout(self, seconds: float | None) -> None: ...

    def gettimeout(self) -> float:
        return 0.0
