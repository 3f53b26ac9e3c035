"""Memory Service API: HTTP (app.api) -> MemoryService (app.memory) -> engines.

Imports go down only: api -> memory -> errors, config. `tests/test_layers.py` holds it.
"""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING

from flask import Flask

from app.config import VERSION, Settings, prepare_environment
from app.logs import log_config

if TYPE_CHECKING:
    from app.memory import MemoryService

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, memory: MemoryService | None = None) -> Flask:
    """The service. Without `memory`, opens what `settings` (by default the environment) name."""
    settings = settings or Settings.from_env()
    logging.config.dictConfig(log_config(settings.log_level, settings.log_format))
    settings.make_data_dir()
    prepare_environment(settings.data_dir)
    # Only now: both import mem0, which reads the environment just then.
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
