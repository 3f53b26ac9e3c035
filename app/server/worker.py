"""gunicorn's threaded worker, where no client keeps a thread or the main loop waiting.

What gunicorn's own lacks:

- A connection gets a thread when it has sent something; until then the poller watches it.
- A request must be whole within a time, and its answer be taken, see app.server.sending.
- Half-sent heads keep half of the threads at most. A few threads are for short answers alone:
  the application is told when all others are at work.
- Where there is no room for a connection, the one that was idle for longest goes.
- A client that was answered ends its connection in the poller's time, not in the main loop's.

Long because it is one class: gunicorn's main loop calls all of it.
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
"""In the environ: whether to refuse this request, since too many are at work."""
RECEIVE = "memory_service.receive"
"""In the environ: makes an Upload of its body, which then need not be whole in time."""

SPARE = 8  # threads, for short answers
TICK_S = 0.25  # how often the main loop looks after what the threads have
YOUNG_S = 0.25  # a newer connection may still send something, or waits for a thread's turn
REST_S = 5.0  # after so long without a request the threads are let go
GOODBYE_S = 2.0  # for idle connections at a stop, as gunicorn's STOP_KEEPALIVE_LINGER
MAX_CONNECTIONS = 4096
FILES_OF_A_THREAD = 3  # a connection to the history, two files, and one to a model or a store
FILES_OF_ALL = 64
SEND_BUFFER = 128 * 1024
"""Bytes; fixed, since the system tells of room in it by thirds only: a third of the megabytes
that it would grow to is more than a slow but honest client takes within its deadline."""


class Connection(TConn):
    """A client's connection, and what the main loop knows of the thread that has it."""

    def __init__(self, worker: "Worker", sock: Any, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.began = 0.0
        self.answer: Answer | None = None
        self.is_cut = False
        self._worker = worker

    def is_late(self, now: float, seconds: float) -> bool:
        """Whether it should have sent a request within `seconds`, or more of a long one."""
        if self.answer and self.answer.upload:
            return self.answer.upload.is_late(now)
        return now - self.began > seconds

    def stop(self, how: int = socket.SHUT_RD) -> None:
        """Its thread reads what is there already and waits for no more."""
        self.is_cut = True
        sock, answer = self.sock, self.answer
        if answer:
            answer.request.must_close, sock = True, answer.sock
        with suppress(OSError):
            # Not the method of a TLS socket: that takes the session from the thread that reads.
            socket.socket.shutdown(sock, how)

    def close(self, graceful: bool = False) -> None:
        if not (graceful and self._worker.linger(self)):
            super().close()


class Worker(ThreadWorker):
    """One process with threads that each serve one request at a time."""

    wsgi: Any
    tpool: Any

    read_timeout = 15.0
    """Seconds; what is not whole by then is read no further: it is answered as a request that
    was cut off, and its connection is closed."""
    send_timeout = 15.0
    """Seconds without progress, after which an answer is broken off."""

    def init_process(self) -> None:
        # A handshake has a deadline where gunicorn makes it after it has wrapped the socket.
        self.cfg.set("do_handshake_on_connect", False)
        self._spare = min(SPARE, self.cfg.threads // 4)
        self._changing = threading.Lock()
        self._heads: dict[Connection, None] = {}  # that threads read, oldest first
        self._requests: dict[Connection, Answer] = {}  # that threads have read the head of
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
        finally:  # graceful_timeout is over, or the end shall come at once
            for conn in [*self._heads, *self._requests]:
                conn.stop(socket.SHUT_RDWR)

    def handle_exit(self, sig: Any, frame: Any) -> None:
        if not self.booted:  # such as while it waits for the worker before it
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
            req.must_close = True  # and the rest of its body is not waited for
        try:
            return super().handle_request(req, conn)
        finally:
            conn.sock = sock

    # ---- the main loop

    def notify(self) -> None:
        """What gunicorn calls each time before it waits."""
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
        """Read no further from who should have sent all by now, nor from the oldest ones of too
        many half-sent heads."""
        room = min(self.cfg.threads // 2, self.cfg.threads - self._spare - requests)
        too_many = max(0, len(heads) - max(1, self._spare // 2, room))
        limits = dict.fromkeys(heads[:too_many], YOUNG_S)
        for conn in heads + bodies:
            if conn.is_late(now, limits.get(conn, self.read_timeout)):
                conn.stop()

    def _rest(self, at_work: bool, now: float) -> None:
        """A pool keeps the threads that it ever had. Those of one that is shut down end when
        they have nothing to do, and a new one has none."""
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
                # Out of files, mostly. No more are accepted until one goes, or it is tried again.
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
        """Close what was idle for longest, where there are too many connections. Not while
        events are dispatched: one of them may be of this connection."""
        old = time.monotonic() - YOUNG_S
        kept = (self.pending_conns, self.read_timeout), (self.keepalived_conns, self.cfg.keepalive)
        for idle, seconds in kept:
            while self.nr_conns >= self.worker_connections and idle:
                if idle[0].timeout - seconds > old:
                    break
                self._end(idle[0], idle)

    def linger(self, conn: Connection) -> bool:
        """Close `conn` when its client does, so that it can read its answer; False where there
        is nobody to wait for."""
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
    """How many connections a worker may have beside the files of its threads. Raises the limit
    of open files as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = FILES_OF_ALL + FILES_OF_A_THREAD * threads
    wanted = ours + MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a system that has yet another limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(soft - ours, soft // 2))
