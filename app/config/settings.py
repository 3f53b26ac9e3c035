"""Settings: read once from the environment and `.env`, checked as a whole, then frozen.

Long because they are one class, so that all mistakes are reported together.
"""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from app.config.addresses import DatabaseAddress, QdrantAddresses, WebAddress
from app.config.checks import contradictions
from app.config.endpoints import Endpoint, chosen_providers, endpoint_of
from app.config.fields import (
    Dialects,
    EmbedderProvider,
    ExtraBody,
    Host,
    InAnyCase,
    Key,
    LLMProvider,
    LogLevel,
    MetadataIndexes,
    Names,
    OfProvider,
    Origins,
    TrustedHosts,
    in_url,
)
from app.config.source import Source
from app.errors import StartupError

# Files and folders in DATA_DIR, which belong to the user who first ran the service.
_KEPT = ("qdrant", "processes", "history.db", "mem0")


class Settings(BaseModel):
    """Each field is the environment variable of its name in capitals; `env` explains them."""

    model_config = ConfigDict(frozen=True)

    host: Host = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    data_dir: Path = Path("data")
    database_url: DatabaseAddress | None = None
    database_connections: int = Field(10, ge=2, le=1000)
    min_free_mb: int = Field(256, ge=1)
    flush_seconds: float = Field(5, gt=0, le=3600)
    threads: int = Field(256, ge=1, le=1024)
    web_concurrency: int = Field(1, ge=1, le=64)
    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    max_batch_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    max_jobs: int = Field(10_000, ge=1, le=1_000_000)
    job_concurrency: int | None = Field(None, ge=1, le=256)
    jobs_kept_days: int = Field(7, ge=1, le=365)
    log_level: LogLevel = "INFO"
    log_format: Annotated[Literal["text", "json"], InAnyCase] = "text"

    admin_api_key: Key | None = Field(None, min_length=32, max_length=1024)
    revoked_keys: Names = ()
    auth_disabled: bool = False
    trusted_hosts: TrustedHosts = ()
    cors_origins: Origins = ()
    proxy_hops: int = Field(0, ge=0, le=10)
    rate_limit: str | None = None
    rate_limit_storage: SecretStr = SecretStr("memory://")
    request_read_timeout: float = Field(15, gt=0, le=3600)
    send_timeout: float = Field(15, gt=0, le=3600)
    metrics_open: bool = False
    dialects: Dialects = ("platform", "oss", "mcp")

    qdrant_url: QdrantAddresses = ()
    qdrant_host: Host | None = None
    qdrant_port: int = Field(6333, ge=1, le=65535)
    qdrant_api_key: Key | None = None
    qdrant_collection: str = Field("memories", pattern=r"^[A-Za-z0-9_-]{1,200}$")
    qdrant_timeout: int = Field(5, ge=1, le=300)
    qdrant_grpc: Annotated[Literal["auto", "on", "off"], InAnyCase] = "auto"
    qdrant_grpc_port: int | None = Field(None, ge=1, le=65535)
    qdrant_shards: int | None = Field(None, ge=1, le=1024)
    qdrant_replicas: int | None = Field(None, ge=1, le=32)
    qdrant_search_everybody: bool = False
    metadata_indexes: MetadataIndexes = ()

    llm_provider: Annotated[LLMProvider, OfProvider] = "none"
    llm_base_url: WebAddress | None = None
    llm_api_key: Key | None = None
    llm_model: str | None = None
    llm_extra_body: ExtraBody = Field(default_factory=dict)
    extraction: Annotated[Literal["auto", "mem0", "short"], InAnyCase] = "auto"
    llm_concurrency: int | None = Field(None, ge=1, le=1024)
    llm_timeout: float = Field(60, gt=0, le=3600)
    custom_instructions: str | None = None
    embedder_provider: Annotated[EmbedderProvider, OfProvider] = "local"
    embedder_base_url: WebAddress | None = None
    embedder_api_key: Key | None = None
    embedder_model: str | None = None
    embedder_dimensions: int | None = Field(None, ge=1, le=65536)
    embedder_batch: int | None = Field(None, ge=1, le=2048)
    embedder_max_tokens: int | None = Field(None, ge=16, le=1_000_000)
    embedder_query_prefix: str = ""
    embedder_passage_prefix: str = ""
    reembed: Literal["auto", "manual"] | None = None
    embedder_timeout: float = Field(10, gt=0, le=3600)
    openai_api_key: Key | None = None
    openai_base_url: WebAddress | None = None
    ollama_base_url: WebAddress = "http://127.0.0.1:11434"
    ollama_num_ctx: int = Field(16384, ge=512, le=10_000_000)
    ollama_keep_alive: str | None = None
    ollama_pull: bool = False

    @model_validator(mode="before")
    @classmethod
    def _choose_providers(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Add the default providers, which follow from the keys and addresses that are given."""
        return {**chosen_providers(given), **given}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if wrong := list(contradictions(self)):
            raise ValueError("\n  ".join(wrong))
        return self

    @property
    def llm_endpoint(self) -> Endpoint:
        return endpoint_of(self, "llm")

    @property
    def embedder_endpoint(self) -> Endpoint:
        return endpoint_of(self, "embedder")

    @property
    def qdrant_addresses(self) -> tuple[str, ...]:
        """The URLs of the Qdrant server, or of the nodes of a cluster. Given a bare host, Qdrant's
        client would choose scheme and port by itself."""
        by_host = f"http://{in_url(self.qdrant_host or '')}:{self.qdrant_port}"
        return self.qdrant_url or (by_host,)

    @property
    def several_processes(self) -> bool:
        """Whether other processes write to the same history and the same vectors."""
        return self.database_url is not None or self.web_concurrency > 1

    @property
    def on_cluster(self) -> bool:
        """Whether the vectors are on several nodes."""
        return self.qdrant_copies > 1 or len(self.qdrant_url) > 1 or self.qdrant_shards is not None

    @property
    def qdrant_copies(self) -> int:
        """How many nodes hold each memory, in a collection that this service makes. The default
        of a fleet is 3: when one node is lost, the other two are still a majority."""
        several = len(self.qdrant_url) > 1 or self.database_url
        return self.qdrant_replicas or (3 if several else 1)

    @property
    def llm_places(self) -> int:
        """How many adds may wait for the LLM at once."""
        return self.llm_concurrency or max(1, self.threads // 2)

    @property
    def jobs_at_once(self) -> int:
        """How many asynchronous adds run at once; they leave half of `llm_places` to others."""
        return self.job_concurrency or min(16, max(1, self.llm_places // 2))

    @property
    def graceful_timeout(self) -> int:
        """Seconds that the longest request may take, at least 30. That request is an add which asks
        the LLM once and the embedder and Qdrant twice; 10 s are for everything else."""
        llm = self.llm_timeout if self.llm_provider != "none" else 0
        store = self.qdrant_timeout if self.on_server else 0
        return max(30, math.ceil(llm + 2 * (self.embedder_timeout + store) + 10))

    @property
    def reembeds(self) -> bool:
        """Whether the service embeds all memories again by itself when the embedder changed."""
        return not self.on_server and self.reembed != "manual"

    @property
    def on_server(self) -> bool:
        """Whether the vectors are on a Qdrant server, and not in this process."""
        return bool(self.qdrant_url or self.qdrant_host)

    @field_validator("rate_limit")
    @classmethod
    def _a_rate(cls, rate: str | None) -> str | None:
        from limits import parse_many  # the import takes 80 ms, and few set a rate

        try:
            parse_many(rate or "1/second")
        except ValueError as error:
            raise ValueError("must be such as 100/minute, or 10/second;1000/hour") from error
        return rate

    @field_validator("data_dir")
    @classmethod
    def _a_folder(cls, path: Path) -> Path:
        try:
            path = path.expanduser()
            if path.exists() and not path.is_dir():
                raise ValueError("must be a folder")
        except (OSError, RuntimeError) as error:  # no permission, too long a name; no home
            raise ValueError(f"cannot be used: {error}") from error
        return path

    @classmethod
    def from_env(cls, environ: Mapping[str, str | None] | None = None) -> Self:
        """The settings in `environ`; by default those of the process's environment, which win over
        those in `.env` of the working directory.

        An empty variable counts as not set. Raises StartupError with every mistake at once.
        """
        source = Source.read() if environ is None else Source(environ)
        given = {name: source.value(name.upper()) for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            lines = [f"  {_mistake(wrong)}" for wrong in error.errors()]
            raise StartupError("\n".join(["Wrong settings:", *lines])) from None

    def make_data_dir(self) -> None:
        """Make the folder DATA_DIR. Raises StartupError where it cannot be made, or where it or a
        file in it cannot be written."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            kept = [self.data_dir / name for name in _KEPT]
            needed = [self.data_dir, *(path for path in kept if path.exists())]
        except OSError as error:
            raise StartupError(f"DATA_DIR cannot be made: {error}") from error
        for path in needed:
            if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
                raise StartupError(f"DATA_DIR: {path} cannot be written {self._why(path)}")

    def _why(self, path: Path) -> str:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "on a read-only file system: name another folder, or mount a volume there"
        user = os.geteuid()
        return (
            f"by user {user}, it is user {path.stat().st_uid}'s: run 'chown -R {user} "
            f"{self.data_dir}', or name another folder"
        )

    def describe(self) -> str:
        """All settings in one line for the log, secrets masked, in addresses too."""
        shown = " ".join(f"{name.upper()}={value}" for name, value in self if value is not None)
        shown = re.sub(r"//[^/@\s]+@", "//***@", shown)
        return re.sub(r"(https?://[^\s?]+\?)\S+", r"\1***", shown)


_IN_WORDS = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a JSON object",
    "too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} characters",
}


def _mistake(wrong: ErrorDetails) -> str:
    """The setting's name and what is wrong with it; never its value, which may be a secret."""
    ours = _IN_WORDS.get(wrong["type"])
    message = ours.format(**wrong.get("ctx", {})) if ours else wrong["msg"]
    message = message.removeprefix("Value error, ")
    return ": ".join([*(str(part).upper() for part in wrong["loc"]), message])
