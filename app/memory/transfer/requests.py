"""The requests of exports and imports."""

from typing import Literal

from app.memory.fields import Omittable, ScopeId
from app.memory.validation import Request, Scoped


class ExportRequest(Scoped):
    """Exports a scope, or all that the caller may see, including expired memories."""

    vectors: bool = False
    history: Literal["none", "memories", "all"] = "memories"
    """`all` includes the histories of deleted memories."""


class ImportRequest(Request):
    on_conflict: Literal["fail", "replace", "skip"] = "fail"
    """What to do with a memory whose id exists already with another content."""
    infer: bool = False
    """Let the LLM find memories in conversations, instead of storing each message."""
    dry_run: bool = False
    """Read, compare and report, but write nothing."""


class ForeignRequest(ImportRequest):
    """Imports a body in the format of another service."""

    user_id: Omittable[ScopeId] = None
    """The user of records that name none."""
