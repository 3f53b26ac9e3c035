"""What an export and an import are asked for."""

from typing import Literal

from app.memory.fields import Omittable, ScopeId
from app.memory.validation import Request, Scoped


class ExportRequest(Scoped):
    """Of the memories of a scope, or of all that the caller may see; the expired ones too."""

    vectors: bool = False
    history: Literal["none", "memories", "all"] = "memories"
    """`all`: also of those that were deleted."""


class ImportRequest(Request):
    on_conflict: Literal["fail", "replace", "skip"] = "fail"
    """What to do where a memory of the same id says something else."""
    infer: bool = False
    """Let the LLM find memories in conversations, in the place of each message as it is."""
    dry_run: bool = False
    """Read, compare and report, and write nothing."""


class ForeignRequest(ImportRequest):
    """Of a body in the format of another service."""

    user_id: Omittable[ScopeId] = None
    """Of what names no user there."""
