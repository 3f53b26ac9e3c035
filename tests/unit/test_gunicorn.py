"""What an upgrade of gunicorn must not move; here it fails, and not in production."""

import inspect
import re
from importlib.metadata import version

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.message import Message
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.server.worker import Worker


def test_version() -> None:
    assert version("gunicorn") == "27.0.1"


def test_what_the_worker_extends_and_calls() -> None:
    ours = {name for name, what in vars(Worker).items() if inspect.isfunction(what)}
    extended = {
        *("init_process", "load_wsgi", "run", "handle_exit", "notify", "accept"),
        *("handle", "handle_request", "wait_for_and_dispatch_events"),
    }
    assert ours & set(dir(ThreadWorker)) == extended  # and no name of ours is one of its own
    assert {"get_thread_pool", "on_pending_socket_readable"} <= set(dir(ThreadWorker))


def test_what_it_reads_and_sets() -> None:
    source = inspect.getsource(ThreadWorker.__init__) + inspect.getsource(BaseWorker.__init__)
    for name in (
        *("nr_conns", "worker_connections", "tpool", "poller", "pending_conns"),
        *("keepalived_conns", "alive", "booted", "sockets", "cfg", "log"),
    ):
        assert f"self.{name} = " in source
    assert "self.wsgi = " in inspect.getsource(BaseWorker.load_wsgi)
    assert {"threads", "keepalive", "worker_connections", "do_handshake_on_connect"} <= set(
        Config().settings
    )


def test_a_connection() -> None:
    assert [*inspect.signature(TConn).parameters] == ["cfg", "sock", "client", "server"]
    assert [*inspect.signature(TConn.close).parameters] == ["self", "graceful"]
    source = inspect.getsource(TConn.__init__)
    assert all(f"self.{name} = " in source for name in ("sock", "timeout", "data_ready"))


def test_when_it_calls_what_is_ours() -> None:
    loop = inspect.getsource(ThreadWorker.run)
    order = ["self.notify()", "can_accept = self.nr_conns < self.worker_connections"]
    order += ["self.wait_for_and_dispatch_events(timeout=1.0)", "self.murder_pending()"]
    order += ["self.set_accept_enabled(False)", "while self.nr_conns > 0:", "self.notify()"]
    for step in order:
        assert step in loop
        loop = loop[loop.index(step) + len(step) :]
    assert "conn.close(graceful=True)" in inspect.getsource(ThreadWorker.finish_request)
    assert "self.handle_request(req, conn)" in inspect.getsource(ThreadWorker.handle)
    readable = inspect.getsource(ThreadWorker.on_pending_socket_readable)
    for step in ("poller.unregister", "pending_conns.remove", "data_ready = True"):
        assert step in readable
    for murder in (ThreadWorker.murder_pending, ThreadWorker.murder_keepalived):
        source = inspect.getsource(murder)
        assert "conn.timeout" in source
        assert "conn.close()" in source


def test_how_an_answer_is_sent() -> None:
    served = inspect.getsource(ThreadWorker.handle_request)
    assert "wsgi.create(req, conn.sock" in served
    assert "self.wsgi(environ, resp.start_response)" in served
    sent = inspect.getsource(wsgi) + inspect.getsource(util.write)
    assert set(re.findall(r"sock\.(\w+)\(", sent)) == {"send", "sendall", "sendfile"}
    assert '"gunicorn.socket": sock' in inspect.getsource(wsgi.default_environ)
    assert "self.req.should_close()" in inspect.getsource(wsgi.Response.should_close)
    assert "if self.must_close:" in inspect.getsource(Message.should_close)
    assert "if not keepalive:" in inspect.getsource(ThreadWorker._keepalive_after)


def test_how_a_handshake_is_made() -> None:
    source = inspect.getsource(TConn.init)
    wrapped = source.index("self.sock = sock.ssl_wrap_socket(")
    assert wrapped < source.index("if not self.cfg.do_handshake_on_connect:")
    assert wrapped < source.index("self.sock.do_handshake()")


def test_how_one_worker_follows_another() -> None:
    assert Arbiter.WORKER_BOOT_ERROR == 3
    assert "environ['GUNICORN_PID'] = str(master_pid)" in inspect.getsource(Arbiter.reexec)
