"""The address at which the service listens, and whether it can listen there."""

import errno
import logging
import socket

from app.config.environment import is_first_start
from app.config.fields import in_url
from app.config.settings import Settings
from app.errors import StartupError

log = logging.getLogger(__name__)


def listening_address(settings: Settings) -> str:
    """HOST:PORT, as gunicorn takes it.

    Raises StartupError where this process can never listen there: gunicorn would try for 5 s and
    name no setting. A port that is in use is no error here: it may become free. It is told, unless
    it is this service itself that uses it."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # as gunicorn chooses
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError as error:
        raise StartupError(f"PORT: this user may not listen on {port}; take 8000, say") from error
    except (OSError, UnicodeError) as error:  # the name cannot be one
        if getattr(error, "errno", None) != errno.EADDRINUSE:
            raise StartupError(
                f"HOST: {host} is no address of this machine ({error}); 127.0.0.1 is for calls "
                "from here alone, 0.0.0.0 or :: for all"
            ) from error
        if is_first_start():
            log.warning("PORT: %d is in use by another program; name another port", port)
    return f"{in_url(host)}:{port}"
