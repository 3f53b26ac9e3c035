"""Warns at the start of settings that have no effect: one line each, never with a value."""

import logging
from collections.abc import Iterator

from app.config.names import answered, is_own, meant
from app.config.settings import Settings
from app.config.source import Source
from app.config.unused import unused

log = logging.getLogger(__name__)

# A .env may also hold variables of compose and gunicorn, and those that app.config.outgoing reads.
_KNOWN = frozenset(
    {
        *("BIND", "GUNICORN_CMD_ARGS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
_KNOWN_PREFIXES = ("COMPOSE_", "DOCKER_", "OTEL_")


def notices(settings: Settings, source: Source) -> Iterator[str]:
    """The warnings about `settings`, which were read from `source`."""
    for line in source.unread:
        yield f"line {line} of .env sets nothing: it is not of the form NAME=value"
    names = {name.upper() for name in type(settings).model_fields}
    given = {name for name in names if source.value(name)}
    for name in sorted(source.shadowed() & (names | _KNOWN)):
        yield f"{name} of .env is passed over: the environment has another value, and that wins"
    for name in sorted(filter(source.is_kubernetes, names)):
        yield f"{name} is passed over: it is what Kubernetes says of a service by that name"
    for name in sorted(filter(source.written, source.names() - names)):
        yield from _unknown(name, names, given, in_file=name in source.dotenv)
    yield from unused(settings)


def log_notices(settings: Settings) -> None:
    """Log the warnings; the master does it, once for all its workers."""
    for line in notices(settings, Source.read()):
        log.warning("%s", line)


def _unknown(name: str, names: set[str], given: set[str], *, in_file: bool) -> Iterator[str]:
    ours = meant(name, names)
    if ours and not answered(ours, given):
        with_it = ", with LLM_BASE_URL," if ours == "LLM_API_KEY" else ""
        yield (
            f"{name} is no setting of this service and does nothing: it may be {ours}{with_it} here"
        )
    elif is_own(name) or (in_file and not _of_others(name)):
        yield f"{name} is no setting of this service and does nothing: see env"


def _of_others(name: str) -> bool:
    return name.upper() in _KNOWN or name.startswith(_KNOWN_PREFIXES)
