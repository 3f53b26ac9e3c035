"""Memory Service API. `create_app` wires it: HTTP (app.api) calls the MemoryService (app.memory),
which calls stores (app.storage) and models (app.providers).

Imports go in that direction only; `tests/unit/test_layers.py` checks it.
"""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING

from flask import Flask

from app.config import VERSION, Settings, prepare_environment
from app.observability.logs import log_config

if TYPE_CHECKING:
    from app.memory import MemoryService

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, memory: MemoryService | None = None) -> Flask:
    """The Flask application. Without `memory`, opens the stores and models that `settings` name.
    By default the settings are read from the environment.

    Raises StartupError, or OSError for a file, where the service cannot start."""
    settings = settings or Settings.from_env()
    logging.config.dictConfig(log_config(settings.log_level, settings.log_format))
    settings.make_data_dir()
    prepare_environment(settings.data_dir)
    # Imported here because both import mem0, which reads the environment at its import.
    from app import api
    from app.memory import open_memory

    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["memory"] = memory or open_memory(settings)
    api.init_app(app, settings)
    if not settings.admin_api_key:
        log.warning(
            "no ADMIN_API_KEY: whoever reaches %s port %d may read and delete everything",
            settings.host,
            settings.port,
        )
    log.info("ready: version %s, %s", VERSION, settings.describe())
    return app
