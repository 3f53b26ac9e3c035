"""Checks whether anything of a scope is still stored, in the stores and in files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from app.memory.fields import Omittable
from app.memory.validation import InScope
from app.security.principal import Principal
from app.storage.filescan import files_with
from app.storage.history import traces
from app.storage.history.database import Database
from app.storage.vectors.filters import in_scope
from app.storage.vectors.store import VectorStore

SearchedText = Annotated[str, Field(min_length=8, max_length=1000)]
"""A text to look for in files; shorter ones are found by chance."""

NOT_LOOKED = "Give the texts to look for: without them no file was looked at."


class LeftoversRequest(InScope):
    texts: Omittable[Annotated[list[SearchedText], Field(min_length=1, max_length=10)]] = None


class Leftovers:
    """Looks for leftovers of a scope. It changes nothing, and does not store the texts it gets."""

    def __init__(self, store: VectorStore, database: Database) -> None:
        self._store = store
        self._database = database
        self._folder: Path | None = None
        self._vectors_elsewhere = False

    def look_in(self, folder: Path, *, vectors_elsewhere: bool) -> None:
        """Look into the files in `folder`. `vectors_elsewhere`: the vectors are on a server, whose
        files cannot be read."""
        self._folder = folder
        self._vectors_elsewhere = vectors_elsewhere

    def __call__(self, principal: Principal, asked: LeftoversRequest) -> dict[str, Any]:
        """`{"clean", "found": {place: number}, "files": [path], "unseen": [{where, detail}]}`.

        `files` are those in DATA_DIR that hold one of the texts, which may be of another scope.
        `unseen` are the places that could not be looked into."""
        principal.must_be_admin()
        scope = asked.scope()
        found = {"memories": self._store.count(in_scope(scope, show_expired=True))}
        found |= traces.of_scope(self._database, scope)
        files = files_with(self._folder, _forms(asked.texts or [])) if self._folder else []
        return {
            "clean": not any(found.values()) and not files,
            "found": found,
            "files": files,
            "unseen": self._unseen(asked),
        }

    def _unseen(self, asked: LeftoversRequest) -> list[dict[str, str]]:
        unseen = {}
        if self._vectors_elsewhere:
            unseen["vector_store"] = self._store.keeps_deleted
        if kept := self._database.keeps_erased():
            unseen["history"] = kept
        if not asked.texts:
            unseen["files"] = NOT_LOOKED
        return [{"where": where, "detail": detail} for where, detail in unseen.items()]


def _forms(texts: Sequence[str]) -> list[bytes]:
    """`texts` as they may be stored in files: plain, or within JSON."""
    forms = {text for one in texts for text in (one, json.dumps(one)[1:-1], _unescaped(one))}
    return [form.encode() for form in forms]


def _unescaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
