"""The messages of a conversation, in the forms that agents and frameworks use.

Parts without words are ignored: tool calls and their results, pictures, empty turns. So are unknown
fields of a message, such as an id. (Unknown fields of a request are refused: one may be a mistyped
`user_id`.)
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from app.memory.fields import MAX_TEXT, Name, is_blank

TOOLS = ("tool", "function")
_TEXTS = ("text", "input_text", "output_text")


def _words(value: Any, info: ValidationInfo) -> Any:
    """The text of a content, which may be a list of parts; "" for a turn without words."""
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
    ] = None  # type: ignore[assignment]  # `_words` refuses None, or makes it a text
    name: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_results(cls, given: Any) -> Any:
        """`given`, reduced to its role where a tool sent it: its content may have any form."""
        if isinstance(given, dict) and given.get("role") in TOOLS:
            return {"role": given["role"]}
        return given

    @property
    def is_said(self) -> bool:
        """Whether somebody said words in it."""
        return self.role not in TOOLS and not is_blank(self.content)

    def as_said(self) -> dict[str, str]:
        """The message in mem0's form."""
        role = "system" if self.role == "developer" else self.role
        named = {"name": self.name} if self.name else {}
        return {"role": role, "content": self.content, **named}
