"""What an export and an import are asked for."""

from typing import Literal

from pydantic import ValidationInfo, field_validator

from app.memory.fields import Omittable, ScopeId
from app.memory.requests import Request, Scoped


class ExportRequest(Scoped):
    """Of the memories of a scope, or of all that the caller may see; the expired ones too."""

    vectors: bool = False
    history: Literal["none", "memories", "all"] = "memories"
    """`all`: also of those that were deleted."""


class ImportRequest(Request):
    format: Literal["lines", "mem0", "chatgpt", "claude"] = "lines"
    """`lines` are the service's own; the others are JSON."""
    user_id: Omittable[ScopeId] = None
    """Of what names no user, in another format."""

    @field_validator("user_id")
    @classmethod
    def _not_of_lines(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("format") == "lines":
            raise ValueError("is for other formats; each line of ours says whose it is")
        return value

    on_conflict: Literal["fail", "replace", "skip"] = "fail"
    """What to do where a memory of the same id says something else."""
    infer: bool = False
    """Let the LLM find memories in conversations, in the place of each message as it is."""
    dry_run: bool = False
    """Read, compare and report, and write nothing."""
