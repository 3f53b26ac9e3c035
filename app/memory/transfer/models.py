"""The models of the lines; as strict as those of requests."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.embeddings import EmbedderInfo, Vector, is_finite
from app.memory.fields import (
    MAX_TEXT,
    Date,
    KeyId,
    MemoryId,
    MemoryText,
    Metadata,
    Name,
    Omittable,
    Timestamp,
)
from app.memory.transfer.lines import FORMAT, VERSION, unpacked
from app.memory.validation import InScope, Request

MAX_EVENTS = 100_000
MAX_CONVERSATION = 100_000  # messages
MAX_TITLE = 1000


def _unpacked(value: Any) -> Any:
    try:
        return unpacked(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be base64 of 32-bit floats, or a list of numbers") from None


def _finite(vector: Vector) -> Vector:
    if not vector or not is_finite(vector):
        raise ValueError("must have numbers, each of them finite")
    return vector


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EmbedderLine(_Part):
    name: str = Field(max_length=1000)
    dimensions: int = Field(ge=1, le=65536)

    def info(self) -> EmbedderInfo:
        return EmbedderInfo(self.name, self.dimensions)


class HeaderLine(Request):
    type: Literal["header"]
    format: str
    version: int
    service: Omittable[str] = None
    embedder: Omittable[EmbedderLine] = None

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if (self.format, self.version) != (FORMAT, VERSION):
            raise ValueError(f"only the format {FORMAT!r} of version {VERSION} can be read here")
        return self


OldText = Annotated[str, Field(max_length=MAX_TEXT)]


class EventLine(_Part):
    event: Literal["ADD", "UPDATE", "DELETE"]
    old_memory: OldText | None = None
    new_memory: OldText | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    actor_id: Name | None = None
    role: Name | None = None
    written_by: KeyId | None = None


Events = Annotated[list[EventLine], Field(max_length=MAX_EVENTS)]


class MemoryLine(InScope):
    """A memory as `/memory/get` shows it, with its history, place and vector."""

    type: Literal["memory"] = "memory"
    memory: MemoryText
    id: Omittable[MemoryId] = None
    hash: Omittable[str] = None
    metadata: Omittable[Metadata] = None
    created_at: Omittable[Timestamp] = None
    updated_at: Omittable[Timestamp] = None
    expiration_date: Omittable[Date] = None
    role: Omittable[Name] = None
    actor_id: Omittable[Name] = None
    attributed_to: Omittable[Name] = None
    place: Omittable[int] = Field(None, ge=0, lt=2**63)
    history: Omittable[Events] = None
    vector: Omittable[Annotated[Vector, AfterValidator(_finite), BeforeValidator(_unpacked)]] = None

    @model_validator(mode="after")
    def _is_alive(self) -> Self:
        if self.history and self.history[-1].event == "DELETE":
            raise ValueError("the history of a memory that is there must not end with DELETE")
        return self


class DeletedLine(InScope):
    """The history of a deleted memory."""

    type: Literal["deleted"]
    id: MemoryId
    history: Annotated[list[EventLine], Field(min_length=1, max_length=MAX_EVENTS)]

    @model_validator(mode="after")
    def _is_gone(self) -> Self:
        if self.history[-1].event != "DELETE":
            raise ValueError("the history of a deleted memory must end with DELETE")
        return self


class MessageLine(_Part):
    role: Literal["user", "assistant", "system"]
    content: MemoryText
    name: Name | None = None
    time: Timestamp | None = None


class ConversationLine(InScope):
    type: Literal["conversation"]
    messages: Annotated[list[MessageLine], Field(min_length=1, max_length=MAX_CONVERSATION)]
    id: Omittable[Annotated[str, Field(max_length=MAX_TITLE)]] = None
    title: Omittable[Annotated[str, Field(max_length=MAX_TITLE)]] = None
    timestamp: Omittable[Timestamp] = None


class EndLine(Request):
    type: Literal["end"]
    memories: int
    deleted: int
    events: int
    sha256: str


MODELS: dict[str, type[Request]] = {
    "header": HeaderLine,
    "memory": MemoryLine,
    "deleted": DeletedLine,
    "conversation": ConversationLine,
    "end": EndLine,
}
