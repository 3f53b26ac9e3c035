"""Settings, and all that the service reads from the environment."""

from app.config.environment import (
    hands_over,
    name_service,
    prepare_environment,
    service_name,
    share_metrics,
    shared_metrics,
)
from app.config.settings import EmbedderProvider, Endpoint, LLMProvider, Settings

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
