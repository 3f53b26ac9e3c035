"""Settings, and all that the service reads from the environment."""

from app.config.endpoints import Endpoint
from app.config.environment import (
    hands_over,
    name_service,
    prepare_environment,
    service_name,
    share_metrics,
    shared_metrics,
)
from app.config.fields import EmbedderProvider, LLMProvider
from app.config.settings import Settings

__all__ = [
    "VERSION",
    "EmbedderProvider",
    "Endpoint",
    "LLMProvider",
    "Settings",
    "hands_over",
    "name_service",
    "prepare_environment",
    "service_name",
    "share_metrics",
    "shared_metrics",
]

VERSION = "0.2.0"
