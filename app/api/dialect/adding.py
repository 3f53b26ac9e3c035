"""Adds by mem0's clients: the request, and the `message` of the answer."""

from collections.abc import Mapping
from typing import Any

from app.api.dialect.fields import asked, picked, wrong
from app.memory.answers import Added
from app.memory.requests import AddRequest

DONE = "Memories stored."
AS_GIVEN = "Stored as given: this server has no LLM that would extract memories (see LLM_PROVIDER)."
LOST = "Some of what was found could not be stored."


def add_request(given: Mapping[str, Any], scope: Mapping[str, Any]) -> AddRequest:
    """The body of an add as a request. Some clients always send `infer: true`, so it is dropped:
    without an LLM the service then stores the text as given, and `message` says so."""
    fields = picked(given, messages="messages", metadata="metadata")
    fields |= picked(given, expiration_date="expiration_date", timestamp="timestamp")
    if given.get("infer") is not True:
        fields |= picked(given, infer="infer")
    if "messages" not in fields:
        raise wrong("messages", "is needed")
    fields["messages"] = _listed(fields["messages"])
    return asked(AddRequest, {**fields, **scope})


def _listed(messages: Any) -> Any:
    """`messages` as a list; old clients send a text, or one message."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [messages] if isinstance(messages, dict) else messages


def message(added: Added, asked_for: AddRequest, extracts: bool) -> str:
    if added.failed:
        return LOST
    return DONE if extracts or asked_for.infer is False else AS_GIVEN
