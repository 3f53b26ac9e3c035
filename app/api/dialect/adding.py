"""What an add of mem0's clients says, and what it is told."""

from collections.abc import Mapping
from typing import Any

from app.api.dialect.fields import asked, picked, wrong
from app.memory.answers import Added
from app.memory.requests import AddRequest

DONE = "Memories stored."
AS_GIVEN = "Stored as given: this server has no LLM that would extract memories (see LLM_PROVIDER)."
LOST = "Some of what was found could not be stored."


def add_request(given: Mapping[str, Any], scope: Mapping[str, Any]) -> AddRequest:
    """The body of an add. `infer: true`, which some clients always send, is left to the service:
    without an LLM it stores as given, and `message` says so."""
    fields = picked(given, messages="messages", metadata="metadata")
    fields |= picked(given, expiration_date="expiration_date", timestamp="timestamp")
    if given.get("infer") is not True:
        fields |= picked(given, infer="infer")
    if "messages" not in fields:
        raise wrong("messages", "is needed")
    fields["messages"] = _listed(fields["messages"])
    return asked(AddRequest, {**fields, **scope})


def _listed(messages: Any) -> Any:
    """Old clients send a text, or one message."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [messages] if isinstance(messages, dict) else messages


def message(added: Added, asked_for: AddRequest, extracts: bool) -> str:
    if added.failed:
        return LOST
    return DONE if extracts or asked_for.infer is False else AS_GIVEN
