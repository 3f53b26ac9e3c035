"""The messages of a conversation, as agents and frameworks hold them.

What nobody said is passed over: calls of tools and their results, pictures, turns without words.
So are the fields of a message that say nothing here, such as an id. (A request has none that is
passed over: one may be a mistyped `user_id`.)
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from app.memory.fields import MAX_TEXT, Name, is_blank

TOOLS = ("tool", "function")
_TEXTS = ("text", "input_text", "output_text")


def _words(value: Any, info: ValidationInfo) -> Any:
    """A text, or the texts among parts; "" for a turn without words."""
    of_user = info.data.get("role") == "user"
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := _text_of(part)))
    if value is None and not of_user:
        return ""
    if isinstance(value, str) and of_user and is_blank(value):
        raise ValueError("must not be blank")
    return value


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise ValueError("must be a text or a list of parts, each a text or an object")
    text = part.get("text")
    return text if isinstance(text, str) and part.get("type", "text") in _TEXTS else ""


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["user", "assistant", "system", "developer", "tool", "function"]
    content: Annotated[
        str, BeforeValidator(_words), Field(max_length=MAX_TEXT, validate_default=True)
    ] = None  # type: ignore[assignment]  # `_words` refuses it, or makes a text of it
    name: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_results(cls, given: Any) -> Any:
        """What a tool gave may have any form."""
        if isinstance(given, dict) and given.get("role") in TOOLS:
            return {"role": given["role"]}
        return given

    @property
    def is_said(self) -> bool:
        """Whether there are words of somebody in it."""
        return self.role not in TOOLS and not is_blank(self.content)

    def as_said(self) -> dict[str, str]:
        """As mem0 takes it."""
        role = "system" if self.role == "developer" else self.role
        named = {"name": self.name} if self.name else {}
        return {"role": role, "content": self.content, **named}
