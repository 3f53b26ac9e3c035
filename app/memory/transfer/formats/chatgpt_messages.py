"""The messages of a ChatGPT conversation that were shown to the user.

`mapping` has all messages of the conversation by the ids of their nodes: `{"id", "message",
"parent", "children"}`. An edited question or a regenerated answer begins a branch; `current_node`
is the end of the branch that is shown. A message has `author.role` (user, assistant, system, tool),
`content.content_type` and `parts`, `create_time` in seconds, `recipient` (`all`, or the tool that
is called) and `metadata`.

A message counts as said if a user or the assistant wrote it to `all` as `text` or
`multimodal_text`. Tool calls and their results, thoughts, messages that ChatGPT hides, and pictures
do not count. For sources see chatgpt.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

SAID = ("text", "multimodal_text")

# Marks of citations: characters of a private area, or 【1†source】.
_CITATIONS = re.compile("[ \t]*(\ue200[^\ue201]*\ue201|【\\d+(:\\d+)?†[^】]*】)")


class ChatMessage(NamedTuple):
    role: str
    text: str
    time: Any
    recipient: str
    kind: str
    hidden: bool

    @property
    def is_said(self) -> bool:
        return (
            self.role in ("user", "assistant")
            and self.recipient == "all"
            and self.kind in SAID
            and not self.hidden
            and bool(self.text.strip())
        )


def shown(conversation: Mapping[str, Any]) -> list[ChatMessage]:
    """The messages of the shown branch that have a text, from the first to the current one."""
    nodes = conversation["mapping"]
    messages = [_message(node["message"]) for node in _path(nodes, conversation) if _has(node)]
    return [message for message in messages if message.text]


def _path(nodes: Mapping[str, Any], conversation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    at = conversation.get("current_node")
    if not isinstance(at, str) or at not in nodes:
        at = _newest_leaf(nodes)
    path: list[Mapping[str, Any]] = []
    seen = set()
    while isinstance(at, str) and at not in seen and isinstance(nodes.get(at), Mapping):
        seen.add(at)
        path.append(nodes[at])
        at = nodes[at].get("parent")
    return path[::-1]


def _newest_leaf(nodes: Mapping[str, Any]) -> str | None:
    """The latest message without a successor, for older exports without a current node."""
    parents = {
        node["parent"]
        for node in nodes.values()
        if isinstance(node, Mapping) and isinstance(node.get("parent"), str)
    }
    leaves = [key for key in nodes if key not in parents]
    return max(leaves, key=lambda key: _time(nodes[key]), default=None)


def _time(node: Any) -> float:
    time = node["message"].get("create_time") if _has(node) else None
    return float(time) if isinstance(time, int | float) else 0.0


def _has(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("message"), Mapping)


def _message(given: Mapping[str, Any]) -> ChatMessage:
    author, content, metadata = (_object(given.get(k)) for k in ("author", "content", "metadata"))
    return ChatMessage(
        role=str(author.get("role")),
        text=_CITATIONS.sub("", "\n".join(_texts(content.get("parts")))),
        time=given.get("create_time"),
        recipient=str(given.get("recipient") or "all"),
        kind=str(content.get("content_type")),
        hidden=metadata.get("is_visually_hidden_from_conversation") is True,
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(parts: Any) -> Iterator[str]:
    """The texts in `parts`, including transcripts of speech (`audio_transcription`)."""
    for part in parts if isinstance(parts, list) else ():
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str) and text:
            yield text
