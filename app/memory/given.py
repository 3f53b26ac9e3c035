"""The input of an add, and how it becomes a write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from app.embeddings import EmbedderInfo, Vector
from app.memory.answers import Added
from app.memory.idempotency import IdempotencyKey
from app.memory.requests import AddRequest
from app.security.principal import Principal
from app.security.scopes import Scope
from app.storage.history.messages import Said
from app.storage.journal.writes import Write
from app.storage.payloads import Payload, history_row, new_id, new_payload, said_at

Points = Mapping[str, tuple[Vector, Payload]]


@dataclass(frozen=True)
class Given:
    """The input of an add, narrowed to what the caller's key allows."""

    written_by: str | None
    messages: Sequence[Mapping[str, str]]
    scope: Scope
    metadata: Mapping[str, Any]
    expiration_date: str | None
    said_at: str | None
    """None means now."""
    key: IdempotencyKey | None

    @classmethod
    def of(
        cls,
        principal: Principal,
        asked: AddRequest,
        key: IdempotencyKey | None,
        said_at: str | None = None,
    ) -> Self:
        """`said_at` is the time of an add without a timestamp. Raises Forbidden for another scope
        than the caller's."""
        return cls(
            principal.key_id,
            asked.said(),
            principal.narrowed(asked.scope()),
            asked.metadata or {},
            asked.expiration_date,
            asked.timestamp or said_at,
            key,
        )

    @property
    def _said(self) -> list[Mapping[str, str]]:
        """The messages without those of the system, which mem0 does not store either."""
        return [message for message in self.messages if message["role"] != "system"]

    def texts(self) -> list[str]:
        """The texts of the memories, where messages are stored as given."""
        return [message["content"] for message in self._said]

    def points(self, vectors: Sequence[Vector]) -> Points:
        """New points for `texts`, with their `vectors`."""
        payloads = [
            new_payload(
                message["content"],
                self.scope,
                self.metadata,
                role=message["role"],
                actor_id=message.get("name"),
                expiration_date=self.expiration_date,
            )
            for message in self._said
        ]
        return {new_id(): point for point in zip(vectors, payloads, strict=True)}

    def in_time(self, points: Points) -> Points:
        """`points`, with the time when they were said as `created_at`."""
        return _all_said_at(points, self.said_at) if self.said_at else points

    def write(self, points: Points, embedder: EmbedderInfo, added: Added, said: Said = ()) -> Write:
        """The write of `points`, which are one or more; `added` is the answer to keep with it."""
        rows = [
            history_row("ADD", id_, None, payload, self.written_by)
            for id_, (_, payload) in points.items()
        ]
        return Write(
            rows,
            points=dict(points),
            embedder=embedder,
            repeat=self.repeat,
            answer=added.to_json() if self.repeat else None,
            said=said,
        )

    @property
    def repeat(self) -> tuple[str, str] | None:
        """The caller's id and the idempotency key, if there is one."""
        return (self.key.caller, self.key.key) if self.key else None


def added(points: Points, failed: int = 0) -> Added:
    """The answer of an add that stores `points`."""
    stored = [
        {"id": id_, "memory": payload["data"], "event": "ADD"}
        for id_, (_, payload) in points.items()
    ]
    return Added(stored, failed)


def idempotency_key(
    principal: Principal, asked: AddRequest, key: str | None
) -> IdempotencyKey | None:
    if not key:
        return None
    return IdempotencyKey(principal.id, key, asked.fingerprint(), asked.fingerprint_by_0_1())


def _all_said_at(points: Points, time: str) -> Points:
    return {
        id_: (vector, said_at(payload, time, place))
        for place, (id_, (vector, payload)) in enumerate(points.items())
    }
