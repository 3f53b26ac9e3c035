"""Reads the messages of a conversation in the forms that agents and frameworks use.

OpenAI's form is the usual one. The forms of LangChain, Gemini, Vercel's AI SDK, OpenAI's Responses
and ShareGPT are read as well. Parts without words are ignored: tool calls, their results, pictures,
empty turns. Unknown fields of a message, such as an id, are ignored too. (Unknown fields of a
request are refused, because one may be a mistyped `user_id`.)
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.memory.fields import MAX_TEXT, Name, is_blank

TOOLS = ("tool", "function")
_TEXTS = ("text", "input_text", "output_text")
ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "bot": "assistant"}
ROLES |= {"gpt": "assistant", "chatbot": "assistant"}
ROLES |= {role: role for role in ("user", "assistant", "system", "developer", *TOOLS)}
_PLACES = {"content", "parts", "data", "value"}
_OF_TOOLS = ("_call", "_call_output", "_result", "reasoning", "item_reference")
"""Endings of the Responses API's types for tool calls, their results, and reasoning."""


def _words(value: Any) -> Any:
    """The text of a content, which may be a list of parts; "" for a turn without words."""
    if value is None:
        return ""
    if isinstance(value, dict) and _text_of(value):
        value = [value]
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := _text_of(part)))
    return value


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise ValueError("must be a text or a list of parts, each a text or an object")
    text = part.get("text")
    if isinstance(text, dict):  # as OpenAI's Assistants have it
        text = text.get("value")
    return text if isinstance(text, str) and part.get("type", "text") in _TEXTS else ""


def _role(given: dict[str, Any]) -> Any:
    """The role of a message, by OpenAI's name for it where that is known."""
    if "role" not in given:
        kind = given.get("type", given.get("from"))
        if isinstance(kind, str) and kind.lower() not in ROLES:
            return "tool" if kind.endswith(_OF_TOOLS) else None
        given = {"role": kind}
    role = given["role"]
    return ROLES.get(role.lower(), role) if isinstance(role, str) else role


def _content(given: dict[str, Any]) -> Any:
    """The content of a message: from OpenAI's field, or else from Gemini's and Vercel's `parts`,
    LangChain's `data` or ShareGPT's `value`."""
    if given.get("content"):
        return given["content"]
    data = given.get("data")
    within = data.get("content") if isinstance(data, dict) else None
    return given.get("parts") or within or given.get("value") or given.get("content")


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["user", "assistant", "system", "developer", "tool", "function"]
    content: Annotated[str, BeforeValidator(_words), Field(max_length=MAX_TEXT)]
    name: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_openai_has_it(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("must be an object with role and content")
        role = _role(given)
        if role in TOOLS:  # the result of a tool may have any form
            return {"role": role, "content": ""}
        usual = {**given, "role": role} if role is not None else given
        if role == "user" and _PLACES.isdisjoint(given):
            return usual  # its words may be in an unknown field: let validation miss `content`
        return {**usual, "content": _content(given)}

    @property
    def is_said(self) -> bool:
        """Whether somebody said words in it."""
        return self.role not in TOOLS and not is_blank(self.content)

    def as_said(self) -> dict[str, str]:
        """The message in mem0's form."""
        role = "system" if self.role == "developer" else self.role
        named = {"name": self.name} if self.name else {}
        return {"role": role, "content": self.content, **named}
