"""Reads variables from the environment and from the file `.env` of the working directory."""

import codecs
import io
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.errors import StartupError

DOTENV = Path(".env")
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_BLANK = re.compile(r"\s*")
_KUBERNETES = re.compile(r"(tcp|udp|sctp)://\S+")
_VERBATIM = ("EMBEDDER_QUERY_PREFIX", "EMBEDDER_PASSAGE_PREFIX")  # blanks at the end count


@dataclass(frozen=True)
class Source:
    """Variables with their values as written. Those of `environ` win over those of `dotenv`."""

    environ: Mapping[str, str | None] = field(default_factory=dict)
    dotenv: Mapping[str, str | None] = field(default_factory=dict)

    unread: tuple[int, ...] = ()
    """The lines of `.env` that set nothing, and are neither blank nor comments."""

    @classmethod
    def read(cls) -> Self:
        """The variables of this process and of `.env`. Raises StartupError where the file exists
        but cannot be read."""
        text = _dotenv()
        # The library warns of such lines without the name of the file, and once for each process.
        logging.getLogger("dotenv").setLevel(logging.ERROR)
        return cls(dict(os.environ), dotenv_values(stream=io.StringIO(text)), _unread(text))

    def names(self) -> set[str]:
        return {*self.environ, *self.dotenv}

    def written(self, name: str) -> str:
        """The value of `name` as written; "" where it is empty or missing."""
        return (self.environ[name] if name in self.environ else self.dotenv.get(name)) or ""

    def value(self, name: str) -> str:
        """The value of `name` without the quotes and blanks around it, which `docker run
        --env-file` leaves there. "" where Kubernetes has set it, see `is_kubernetes`."""
        given = self.written(name)
        if self.is_kubernetes(name):
            return ""
        return _unquoted(given if name in _VERBATIM else given.strip())

    def is_kubernetes(self, name: str) -> bool:
        """Whether Kubernetes has set `name`: beside a service named qdrant each pod gets
        `QDRANT_PORT=tcp://10.0.0.1:6333`."""
        return name.endswith("PORT") and bool(_KUBERNETES.fullmatch(self.written(name)))

    def shadowed(self) -> set[str]:
        """The names that have another value in `.env` than in the environment, which wins."""
        both = self.environ.keys() & self.dotenv.keys()
        return {name for name in both if self.dotenv[name] not in (None, "", self.environ[name])}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted and value[0] not in value[1:-1] else value


def _unread(text: str) -> tuple[int, ...]:
    """See `Source.unread`."""
    return tuple(
        one.original.line + len(_BLANK.match(one.original.string)[0].splitlines())  # type: ignore[index]
        for one in parse_stream(io.StringIO(text))
        if one.error or (one.key is not None and one.value is None)
    )


def _dotenv() -> str:
    """The text of `.env`; "" where there is none."""
    # A folder named .env may be a virtual environment. `os.path` also says False without the
    # permission to look.
    if not os.path.exists(DOTENV) or os.path.isdir(DOTENV):
        return ""
    try:
        content = DOTENV.read_bytes()
    except OSError as error:
        raise StartupError(f".env cannot be read: {error.strerror}") from error
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StartupError(f".env is not UTF-8, see its line {line}: save it as UTF-8") from None
    if "\0" in text:
        raise StartupError(".env is not UTF-8 but perhaps UTF-16: save it as UTF-8")
    return text
