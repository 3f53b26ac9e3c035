"""How gunicorn serves the service; read from the working directory by default."""

import sys

from gunicorn.glogging import Logger

from app.config import Settings
from app.errors import StartupError
from app.logs import log_config
from app.worker import DeadlineWorker

try:
    settings = Settings.from_env()
except StartupError as error:
    sys.exit(str(error))  # here, before any worker: one message and a status that is not 0

bind = f"{settings.host}:{settings.port}"
workers = settings.web_concurrency  # 1 unless on a Qdrant server: Edge serves one process


class Worker(DeadlineWorker):
    read_timeout = settings.request_read_timeout


class NoAccessLog(Logger):
    """app.api logs each request, with its id; gunicorn would format its own line for nobody."""

    access_log_enabled = False


worker_class = Worker
logger_class = NoAccessLog
threads = settings.threads
timeout = 0  # a thread that waits for a model is no dead worker
graceful_timeout = 30
keepalive = 5
logconfig_dict = log_config(settings.log_level)
control_socket_disable = True
forwarded_allow_ips = ""  # whom to believe is PROXY_HOPS's, see app/api/guards.py
