"""Settings: read once from the environment and `.env`, checked as a whole, then frozen.

Long because they are one class: every mistake of all of them is told at once.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from app.errors import StartupError

_HTTP = r"^https?://[^\s/]+\S*$"
_ORIGIN = re.compile(r"https?://[^\s/]+")


def _split(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several, separated by commas or white space."""


def _json_object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError('must be a JSON object, such as {"enable_thinking": false}') from error


ExtraBody = Annotated[dict[str, Any], BeforeValidator(_json_object)]
"""More fields for the body of each call."""


class Endpoint(NamedTuple):
    """Where a model's service is asked, and with which key."""

    base_url: str
    key: SecretStr | None


OPENAI = "https://api.openai.com/v1"

LLMProvider = Literal["openai", "ollama", "none"]
EmbedderProvider = Literal["openai", "ollama", "local"]
"""Each but none is the name of a file in `app/providers`."""


class Settings(BaseModel):
    """Each field is the environment variable of its name in capitals; `env` explains them."""

    model_config = ConfigDict(frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    data_dir: Path = Path("data")
    min_free_mb: int = Field(256, ge=1)
    flush_seconds: float = Field(5, gt=0, le=3600)
    threads: int = Field(256, ge=1, le=1024)
    web_concurrency: int = Field(1, ge=1, le=64)
    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    admin_api_key: SecretStr | None = Field(None, min_length=32, max_length=1024)
    revoked_keys: Names = ()
    auth_disabled: bool = False
    trusted_hosts: Names = ()
    cors_origins: Names = ()
    proxy_hops: int = Field(0, ge=0, le=10)
    rate_limit: str | None = None
    rate_limit_storage: SecretStr = SecretStr("memory://")
    request_read_timeout: float = Field(15, gt=0, le=3600)
    send_timeout: float = Field(15, gt=0, le=3600)
    metrics_open: bool = False

    qdrant_url: str | None = Field(None, pattern=_HTTP)
    qdrant_host: str | None = None
    qdrant_port: int = Field(6333, ge=1, le=65535)
    qdrant_api_key: SecretStr | None = None
    qdrant_collection: str = Field("memories", pattern=r"^[A-Za-z0-9_-]{1,200}$")
    qdrant_timeout: int = Field(5, ge=1, le=300)

    llm_provider: LLMProvider = "none"
    llm_base_url: str | None = Field(None, pattern=_HTTP)
    llm_api_key: SecretStr | None = None
    llm_model: str | None = None
    llm_extra_body: ExtraBody = Field(default_factory=dict)
    extraction: Literal["auto", "mem0", "short"] = "auto"
    llm_concurrency: int | None = Field(None, ge=1, le=1024)
    llm_timeout: float = Field(60, gt=0, le=3600)
    custom_instructions: str | None = None
    embedder_provider: EmbedderProvider = "local"
    embedder_base_url: str | None = Field(None, pattern=_HTTP)
    embedder_api_key: SecretStr | None = None
    embedder_model: str | None = None
    embedder_dimensions: int | None = Field(None, ge=1, le=65536)
    embedder_batch: int | None = Field(None, ge=1, le=2048)
    embedder_max_tokens: int | None = Field(None, ge=16, le=1_000_000)
    embedder_query_prefix: str = ""
    embedder_passage_prefix: str = ""
    embedder_timeout: float = Field(10, gt=0, le=3600)
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = Field(None, pattern=_HTTP)
    ollama_base_url: str = Field("http://127.0.0.1:11434", pattern=_HTTP)
    ollama_num_ctx: int = Field(16384, ge=512, le=10_000_000)
    ollama_keep_alive: str | None = None
    ollama_pull: bool = False

    @model_validator(mode="before")
    @classmethod
    def _choose_providers(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What is not said follows from what is there: a key, or an address."""
        if given.get("openai_api_key"):
            llm, embedder = "openai", "openai"
        elif given.get("ollama_base_url"):
            llm, embedder = "ollama", "ollama"
        else:
            llm, embedder = "none", "local"
        return {"llm_provider": llm, "embedder_provider": embedder, **given}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        endpoints = {"LLM": self.llm_endpoint, "EMBEDDER": self.embedder_endpoint}
        providers = {"LLM": self.llm_provider, "EMBEDDER": self.embedder_provider}
        for name, (base_url, key) in endpoints.items():
            if providers[name] == "openai" and base_url == OPENAI and not key:
                raise ValueError(f"OPENAI_API_KEY: is needed by {name}_PROVIDER=openai")
        if self.web_concurrency > 1 and not self.on_server:
            raise ValueError(
                "WEB_CONCURRENCY: the embedded engine serves one process; several need a "
                "Qdrant server, see QDRANT_URL"
            )
        if self.llm_places >= self.threads > 1:
            raise ValueError("LLM_CONCURRENCY: must leave some of THREADS to those who read")
        if self.qdrant_url and self.qdrant_host:
            raise ValueError("QDRANT_URL: give it or QDRANT_HOST, not both")
        if self.admin_api_key and self.auth_disabled:
            raise ValueError("AUTH_DISABLED: contradicts ADMIN_API_KEY; give one of them")
        return self

    @property
    def llm_endpoint(self) -> Endpoint:
        return self._endpoint(self.llm_provider, self.llm_base_url, self.llm_api_key)

    @property
    def embedder_endpoint(self) -> Endpoint:
        return self._endpoint(self.embedder_provider, self.embedder_base_url, self.embedder_api_key)

    def _endpoint(self, provider: str, own: str | None, key: SecretStr | None) -> Endpoint:
        """An address of its own takes the key of its own alone: no key goes to a stranger."""
        if provider == "ollama":
            return Endpoint(own or self.ollama_base_url, key)
        if own:
            return Endpoint(own, key)
        return Endpoint(self.openai_base_url or OPENAI, key or self.openai_api_key)

    @property
    def llm_places(self) -> int:
        """How many adds may wait for the LLM at once."""
        return self.llm_concurrency or max(1, self.threads // 2)

    @property
    def graceful_timeout(self) -> int:
        """Seconds that the longest request may take: an add that asks the LLM once, the embedder
        and a Qdrant server before and after it, and 10 s for everything else; 30 at least."""
        llm = self.llm_timeout if self.llm_provider != "none" else 0
        store = self.qdrant_timeout if self.on_server else 0
        return max(30, math.ceil(llm + 2 * (self.embedder_timeout + store) + 10))

    @property
    def on_server(self) -> bool:
        """Whether the vectors are on a Qdrant server, not embedded."""
        return bool(self.qdrant_url or self.qdrant_host)

    @field_validator("admin_api_key", "openai_api_key", "llm_api_key", "embedder_api_key")
    @classmethod
    def _can_be_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key and not re.fullmatch(r"[!-~]+", key.get_secret_value()):
            raise ValueError("must be visible ASCII characters")
        return key

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is no origin such as https://chat.example.com")
        return origins

    @field_validator("rate_limit")
    @classmethod
    def _a_rate(cls, rate: str | None) -> str | None:
        from limits import parse_many  # 80 ms at each start, for a setting that few need

        try:
            parse_many(rate or "1/second")
        except ValueError as error:
            raise ValueError("must be such as 100/minute, or 10/second;1000/hour") from error
        return rate

    @field_validator("data_dir")
    @classmethod
    def _a_folder(cls, path: Path) -> Path:
        if path.exists() and not path.is_dir():
            raise ValueError("must be a folder")
        return path

    @classmethod
    def from_env(cls, environ: Mapping[str, str | None] | None = None) -> Self:
        """From `environ`; by default the process's, over `.env` of the working directory.

        An empty variable counts as not set. Raises StartupError with every mistake at once.
        """
        if environ is None:
            environ = {**dotenv_values(".env"), **os.environ}
        given = {name: environ.get(name.upper()) for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            lines = [f"  {_mistake(wrong)}" for wrong in error.errors()]
            raise StartupError("\n".join(["Wrong settings:", *lines])) from None

    def make_data_dir(self) -> None:
        """Raises StartupError where it cannot be made."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(f"DATA_DIR cannot be made: {error}") from error

    def describe(self) -> str:
        """All settings in one line for the log, secrets masked, in addresses too."""
        shown = " ".join(f"{name.upper()}={value}" for name, value in self if value is not None)
        return re.sub(r"//[^/@\s]+@", "//***@", shown)


def _mistake(wrong: ErrorDetails) -> str:
    message = wrong["msg"].removeprefix("Value error, ")
    return ": ".join([*(str(part).upper() for part in wrong["loc"]), message])
