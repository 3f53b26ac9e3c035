"""Finds settings that were given but have no effect, because of the others."""

from collections.abc import Iterator

from pydantic import SecretStr

from app.config.addresses import origin
from app.config.endpoints import OPENAI
from app.config.settings import Settings

_OF_LLM = (*("base_url", "api_key", "model", "extra_body", "concurrency", "timeout"),)
_OF_EMBEDDER = (
    *("base_url", "api_key", "dimensions", "batch", "max_tokens"),
    *("query_prefix", "passage_prefix", "timeout"),
)
_OF_QDRANT = (
    *("qdrant_port", "qdrant_api_key", "qdrant_collection", "qdrant_timeout", "qdrant_grpc"),
    *("qdrant_grpc_port", "qdrant_shards", "qdrant_replicas"),
    *("qdrant_search_everybody", "metadata_indexes"),
)


def unused(settings: Settings) -> Iterator[str]:
    """One line for each setting that was given and has no effect. Settings that docker-compose.yml
    always gives are left out."""
    given = settings.model_fields_set
    for names, why in _groups(settings):
        for name in names:
            if name in given:
                yield f"{name.upper()} does nothing: {why}"
    yield from _keyless(settings)


def _groups(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    if settings.llm_provider == "none":
        names = (*(f"llm_{one}" for one in _OF_LLM), "extraction", "custom_instructions")
        yield names, "there is no LLM; one comes with OPENAI_API_KEY, LLM_BASE_URL, OLLAMA_BASE_URL"
    if settings.embedder_provider == "local":
        names = tuple(f"embedder_{one}" for one in _OF_EMBEDDER)
        yield names, "the embedder is the one in this process (EMBEDDER_PROVIDER=local)"
    yield from _of_models(settings)
    yield from _of_vectors(settings)
    if not settings.database_url:
        yield ("database_connections",), "there is no DATABASE_URL"
    if not settings.rate_limit:
        yield ("rate_limit_storage",), "there is no RATE_LIMIT"
    if not settings.admin_api_key:
        yield ("revoked_keys", "metrics_open"), "there is no ADMIN_API_KEY"


def _of_vectors(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    if not settings.on_server:
        yield _OF_QDRANT, "the vectors are in DATA_DIR; QDRANT_URL names a server"
        return
    if settings.qdrant_url:
        yield ("qdrant_port",), "QDRANT_URL says the port"
    if settings.qdrant_grpc == "off":
        yield ("qdrant_grpc_port",), "QDRANT_GRPC is off"
    yield ("min_free_mb",), "the vectors are on a Qdrant server"


def _of_models(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    providers = {settings.llm_provider, settings.embedder_provider}
    if "openai" not in providers:
        why = "neither LLM_PROVIDER nor EMBEDDER_PROVIDER is openai"
        yield ("openai_base_url", "openai_api_key"), why
    elif not _asks_shared(settings, "openai"):
        why = "LLM_BASE_URL and EMBEDDER_BASE_URL stand in its place"
        yield ("openai_base_url",), why
    if "openai" in providers and settings.openai_api_key not in _keys(settings):
        yield ("openai_api_key",), "no address is asked that it is for"
    if "ollama" not in providers:
        why = "neither LLM_PROVIDER nor EMBEDDER_PROVIDER is ollama"
        yield ("ollama_base_url", "ollama_num_ctx", "ollama_keep_alive"), why
    elif not _asks_shared(settings, "ollama"):
        why = "LLM_BASE_URL and EMBEDDER_BASE_URL stand in its place"
        yield ("ollama_base_url",), why


def _asks_shared(settings: Settings, provider: str) -> bool:
    """Whether a side asks the address that both may share."""
    sides = (
        (settings.llm_provider, settings.llm_base_url),
        (settings.embedder_provider, settings.embedder_base_url),
    )
    return any(chosen == provider and not own for chosen, own in sides)


def _keys(settings: Settings) -> tuple[SecretStr | None, ...]:
    return settings.llm_endpoint.key, settings.embedder_endpoint.key


def _keyless(settings: Settings) -> Iterator[str]:
    """One line for each address that is called without a key, though OPENAI_API_KEY was perhaps
    meant for it."""
    asked = {
        "LLM": (settings.llm_provider, settings.llm_base_url, settings.llm_endpoint),
        "EMBEDDER": (
            settings.embedder_provider,
            settings.embedder_base_url,
            settings.embedder_endpoint,
        ),
    }
    for side, (provider, own, endpoint) in asked.items():
        if settings.openai_api_key and provider == "openai" and own and not endpoint.key:
            shared = settings.openai_base_url or OPENAI
            host = origin(shared)[1]
            yield (
                f"{side}_BASE_URL is asked without a key: OPENAI_API_KEY is for {host} alone, "
                f"{side}_API_KEY would be its own"
            )
