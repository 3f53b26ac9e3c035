"""Settings: read once from the environment and `.env`, checked as a whole, then frozen."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.errors import StartupError


class Settings(BaseModel):
    """Each field is the environment variable of its name in capitals; `env` explains them."""

    model_config = ConfigDict(frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    data_dir: Path = Path("data")
    threads: int = Field(64, ge=1, le=1024)
    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

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
            lines = [
                f"  {str(wrong['loc'][0]).upper()}: {wrong['msg'].removeprefix('Value error, ')}"
                for wrong in error.errors()
            ]
            raise StartupError("\n".join(["Wrong settings:", *lines])) from None

    def make_data_dir(self) -> None:
        """Raises StartupError where it cannot be made."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(f"DATA_DIR cannot be made: {error}") from error

    def describe(self) -> str:
        """All settings in one line for the log, secrets masked."""
        return " ".join(f"{name.upper()}={value}" for name, value in self)


def silence_dependencies(data_dir: Path) -> None:
    """Turn telemetry off and keep mem0's files under `data_dir`; before mem0 is imported.

    mem0 reads both variables when it is imported, and never again.
    """
    os.environ["MEM0_TELEMETRY"] = "False"
    os.environ["MEM0_DIR"] = str(data_dir / "mem0")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would fight the server's
