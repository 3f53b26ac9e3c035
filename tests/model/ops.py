"""Requests of clients, and what they were told."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.model.keys import Key

ROUTES = {"text": "update", "metadata": "update", "purge": "delete_all"}
READS = ("get", "get_all", "history")
SCOPED = ("delete_all", "purge", "get_all")


@dataclass
class Op:
    """One request. `started` and `ended` are numbers in the order in which things happened."""

    kind: str
    user: str
    started: int
    memory_id: str = ""
    values: dict[str, Any] = field(default_factory=dict)  # what it sets, by field
    texts: list[str] = field(default_factory=list)  # what an add stores
    infer: bool = False  # a model finds them in what is said; else that is stored as it is
    key: str | None = None  # its Idempotency-Key
    ids: list[str] = field(default_factory=list)  # what it was told that they are
    ended: float = math.inf  # never, while it is not known whether it took place
    status: int | None = None
    answer: Any = None
    by: Key | None = None  # what it came with, where that is not the admin's key
    job: str = ""  # as which it was accepted
    accepted: float = math.inf  # when that was told; `ended` is when it was seen to be done
    cancelled: bool = False  # before it began, or by a deletion
    may_be_cancelled: bool = False  # a caller has asked for that

    def __str__(self) -> str:
        ended = "" if self.ended == math.inf else self.ended
        set_ = self.texts or self.values or ""
        return f"[{self.started} to {ended}: {self.kind} of {self.user} {set_} -> {self.status}]"

    @property
    def done(self) -> bool:
        return self.status in (200, 201)

    @property
    def unknown(self) -> bool:
        """Cut off, or failed: it may have taken place all the same, and may do so yet."""
        return self.kind not in READS and self.status not in (200, 201, 404) and not self.void

    @property
    def void(self) -> bool:
        """Whether it must not have taken place, unless it says that it has."""
        revoked = self.by is not None and self.by.revoked < self.started
        return self.status == 401 or self.cancelled or revoked

    @property
    def promised(self) -> float:
        """When somebody was told that it is done, or will be."""
        return min(self.accepted, self.ended)

    @property
    def deletes(self) -> bool:
        return self.kind in ("delete", "delete_all", "purge", "reset")

    @property
    def sets_fields(self) -> bool:
        return self.kind in ("text", "metadata")

    def is_about(self, memory_id: str, user: str) -> bool:
        """Whether a memory of that user is among those that it is about."""
        if self.kind in SCOPED:
            return self.user == user
        return self.kind == "reset" or self.memory_id == memory_id

    def stored(self, answer: Mapping[str, Any], ended: float) -> None:
        """What an add was told that it stored."""
        self.status = 201
        self.answer = answer
        self.ids = [memory["id"] for memory in answer["results"]]
        self.ended = min(self.ended, ended)

    def body(self) -> dict[str, Any]:
        match self.kind:
            case "add":
                said = [{"role": "user", "content": text} for text in self.texts]
                given = {"messages": said, "metadata": self.values}
                return {**given, "user_id": self.user, "infer": self.infer}
            case "text":
                return {"memory_id": self.memory_id, "data": self.values["memory"]}
            case "metadata":
                return {"memory_id": self.memory_id, "metadata": self.values}
            case "delete" | "get" | "history":
                return {"memory_id": self.memory_id}
            case "reset":
                return {}
            case "purge":
                return {"user_id": self.user, "purge": True}
        return {"user_id": self.user}
