"""How gunicorn serves the service; read from the working directory by default."""

import shutil
import sys
from typing import Any

from gunicorn.glogging import Logger

from app.config import Settings, name_service, share_metrics, shared_metrics
from app.config.listening import listening_address
from app.config.notices import log_notices
from app.errors import StartupError
from app.observability.logs import log_config
from app.server import worker

try:
    settings = Settings.from_env()
    settings.make_data_dir()
    bind = listening_address(settings)
except StartupError as error:
    sys.exit(str(error))  # here, before any worker: one message and a status that is not 0

workers = settings.web_concurrency  # 1 unless on a Qdrant server: Edge serves one process


class Worker(worker.Worker):
    read_timeout = settings.request_read_timeout
    send_timeout = settings.send_timeout


class NoAccessLog(Logger):
    """app.api logs each request, with its id; gunicorn would format its own line for nobody."""

    access_log_enabled = False


worker_class = Worker
logger_class = NoAccessLog
threads = settings.threads
worker_connections = worker.max_connections(threads)
timeout = 0  # a thread that waits for a model is no dead worker
graceful_timeout = settings.graceful_timeout
keepalive = 5
logconfig_dict = log_config(settings.log_level, settings.log_format)
control_socket_disable = True
forwarded_allow_ips = ""  # whom to believe is PROXY_HOPS's, see app/api/http/origins.py

share_metrics(workers)
name_service()


def on_starting(_server: Any) -> None:
    log_notices(settings)


on_reload = on_starting


def child_exit(_server: Any, worker: Any) -> None:
    """What a dead worker counted stays; what it was doing does not."""
    if shared_metrics():
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    if folder := shared_metrics():
        shutil.rmtree(folder, ignore_errors=True)
