"""gunicorn's threaded worker, extended so that no slow client can block a thread or the main loop.

What gunicorn's own worker lacks:

- A connection gets a thread only when it has sent something; until then the poller watches it.
- A request must be complete in time, and its answer be taken in time, see app.server.sending.
- Half-sent heads occupy half of the threads at most. A few threads are reserved for short answers:
  the application is told when all others are busy.
- When there are too many connections, the one that was idle for longest is closed.
- After the last answer the poller waits for the client to close; the main loop does not.

Long because it is one class: gunicorn's main loop calls all of its methods.
"""

import errno
import resource
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from app.server.sending import Answer

BUSY = "memory_service.busy"
"""Key in the environ: True where this request should be refused, because too many are being
answered."""
RECEIVE = "memory_service.receive"
"""Key in the environ: a function that makes an Upload of the body, which then has no deadline as a
whole."""

SPARE = 8  # threads that are reserved for short answers
TICK_S = 0.25  # how often the main loop checks the deadlines
YOUNG_S = 0.25  # a connection younger than this is not closed to make room
REST_S = 5.0  # after so long without a request the threads end
GOODBYE_S = 2.0  # how long idle connections stay at a stop, as gunicorn's STOP_KEEPALIVE_LINGER
MAX_CONNECTIONS = 4096
FILES_OF_A_THREAD = 3  # the history's connection has two files, one to a model or a store is one
FILES_OF_ALL = 64
SEND_BUFFER = 128 * 1024
"""Bytes of a socket's send buffer. The system reports room in the buffer only when a third of it is
free. Left alone the buffer grows to megabytes, and a slow but honest client would not take a third
of that within its deadline."""


class Connection(TConn):
    """A client's connection, and the state of the request that a thread reads from it."""

    def __init__(self, worker: "Worker", sock: Any, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.began = 0.0
        self.answer: Answer | None = None
        self.is_cut = False
        self._worker = worker

    def is_late(self, now: float, seconds: float) -> bool:
        """Whether the client has not sent its request within `seconds`, or is late with a long
        upload."""
        if self.answer and self.answer.upload:
            return self.answer.upload.is_late(now)
        return now - self.began > seconds

    def stop(self, how: int = socket.SHUT_RD) -> None:
        """Shut the socket, so that its thread reads what has arrived and waits for no more."""
        self.is_cut = True
        sock, answer = self.sock, self.answer
        if answer:
            answer.request.must_close, sock = True, answer.sock
        with suppress(OSError):
            # A TLS socket's own shutdown would end the session under the thread that reads.
            socket.socket.shutdown(sock, how)

    def close(self, graceful: bool = False) -> None:
        if not (graceful and self._worker.linger(self)):
            super().close()


class Worker(ThreadWorker):
    """One process with threads that each serve one request at a time."""

    wsgi: Any
    tpool: Any

    read_timeout = 15.0
    """Seconds in which a request must be complete. A later one is answered as cut off, and its
    connection is closed."""
    send_timeout = 15.0
    """Seconds that a client may take nothing of its answer, which is then broken off."""

    def init_process(self) -> None:
        # gunicorn's handshake has a deadline only when it is done after the socket was wrapped.
        self.cfg.set("do_handshake_on_connect", False)
        self._spare = min(SPARE, self.cfg.threads // 4)
        self._changing = threading.Lock()
        self._heads: dict[Connection, None] = {}  # threads read their heads; oldest first
        self._requests: dict[Connection, Answer] = {}  # their heads were read
        self._looked = self._worked = time.monotonic()
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        application = self.wsgi

        def serve(environ: dict[str, Any], start_response: Any) -> Any:
            sock = environ["gunicorn.socket"]
            environ[BUSY] = getattr(sock, "is_hurried", False)
            environ[RECEIVE] = sock.receive
            return application(environ, start_response)

        self.wsgi = serve

    def run(self) -> None:
        for listener in self.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            super().run()
        finally:  # graceful_timeout is over, or the worker stops at once
            for conn in [*self._heads, *self._requests]:
                conn.stop(socket.SHUT_RDWR)

    def handle_exit(self, sig: Any, frame: Any) -> None:
        if not self.booted:  # perhaps it still waits for the worker that it replaces
            sys.exit(0)
        super().handle_exit(sig, frame)

    # ---- the threads

    def handle(self, conn: Connection) -> Any:
        conn.began, conn.answer = time.monotonic(), None
        with self._changing:
            self._heads[conn] = None
        try:
            return super().handle(conn)
        finally:
            with self._changing:
                self._heads.pop(conn, None)
                self._requests.pop(conn, None)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        sock = conn.sock
        conn.answer = conn.sock = answer = Answer(sock, req, self.send_timeout, self.read_timeout)
        with self._changing:
            self._heads.pop(conn, None)
            self._requests[conn] = answer
            if len(self._requests) > self.cfg.threads - self._spare:
                answer.hurry()
        if answer.is_hurried or conn.is_cut:
            req.must_close = True  # so that the rest of the body is not waited for
        try:
            return super().handle_request(req, conn)
        finally:
            conn.sock = sock

    # ---- the main loop

    def notify(self) -> None:
        """Close connections and enforce deadlines; gunicorn calls it before each wait."""
        super().notify()
        self._make_room()
        now = time.monotonic()
        if now - self._looked < TICK_S:
            return
        self._looked = now
        self.worker_connections = self.cfg.worker_connections
        with self._changing:
            heads, requests = [*self._heads], [*self._requests.items()]
        reading = [conn for conn, answer in requests if not answer.has_begun]
        self._cut(heads, len(requests), reading, now)
        self._rest(bool(heads or requests), now)
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, now + GOODBYE_S)

    def _cut(
        self, heads: list[Connection], requests: int, bodies: list[Connection], now: float
    ) -> None:
        """Stop reading from clients that are late. Where there are too many half-sent heads, the
        oldest are late after YOUNG_S."""
        room = min(self.cfg.threads // 2, self.cfg.threads - self._spare - requests)
        too_many = max(0, len(heads) - max(1, self._spare // 2, room))
        limits = dict.fromkeys(heads[:too_many], YOUNG_S)
        for conn in heads + bodies:
            if conn.is_late(now, limits.get(conn, self.read_timeout)):
                conn.stop()

    def _rest(self, at_work: bool, now: float) -> None:
        """After REST_S without a request, replace the thread pool by a new one without threads: a
        pool never ends its threads by itself. Those of the old pool end when they are idle."""
        if at_work:
            self._worked = now
        elif now - self._worked > REST_S:
            self._worked = now
            self.tpool.shutdown(wait=False)
            self.tpool = self.get_thread_pool()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, TICK_S))

    def accept(self, listener: Any) -> None:
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                # Mostly EMFILE. None is accepted until one is closed, or until the next tick.
                self.log.warning("no room for another connection: %s", error)
                self.worker_connections = self.nr_conns
            return
        conn = Connection(self, sock, client, listener.getsockname())
        self._watch(conn, self.on_pending_socket_readable)

    def _watch(self, conn: Connection, callback: Callable[[Connection, Any], None]) -> None:
        self.nr_conns += 1
        conn.timeout = time.monotonic() + self.read_timeout
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def _make_room(self) -> None:
        """Close the connections that were idle for longest, where there are too many. It must not
        be called while events are dispatched: one of them may be of such a connection."""
        old = time.monotonic() - YOUNG_S
        kept = (self.pending_conns, self.read_timeout), (self.keepalived_conns, self.cfg.keepalive)
        for idle, seconds in kept:
            while self.nr_conns >= self.worker_connections and idle:
                if idle[0].timeout - seconds > old:
                    break
                self._end(idle[0], idle)

    def linger(self, conn: Connection) -> bool:
        """End the stream, and close `conn` only when its client does, so that the client can read
        its answer. False where the client is gone already."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            return False
        self._watch(conn, self._read_on)
        return True

    def _read_on(self, conn: Connection, client: Any) -> None:
        with suppress(OSError):
            try:
                if client.recv(65536):
                    return
            except BlockingIOError:
                return
        self._end(conn, self.pending_conns)

    def _end(self, conn: Connection, idle: deque[Connection]) -> None:
        idle.remove(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def max_connections(threads: int) -> int:
    """How many connections a worker may have, beside the files of its threads. Sets the limit of
    open files as high as it may be set."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = FILES_OF_ALL + FILES_OF_A_THREAD * threads
    wanted = ours + MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has yet another limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(soft - ours, soft // 2))
