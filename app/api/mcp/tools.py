"""The tools: their list, and how a call is run."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from flask import json

from app.api.http.problems import STATUS
from app.api.mcp import operations, schemas
from app.api.mcp.operations import Answer, Arguments
from app.api.mcp.schemas import IDS, Schema
from app.errors import FieldError, ServiceError
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tool:
    title: str
    description: str
    run: Callable[[Principal, Arguments], Answer]
    properties: dict[str, Schema]
    required: tuple[str, ...] = ()
    scoped: bool = False
    """Whether it takes the ids of a scope."""
    reads: bool = False
    """Whether it changes nothing."""
    destroys: bool = False
    """Whether it changes or deletes memories that exist."""

    def shown(self, name: str, principal: Principal) -> Answer:
        """The entry of the list. Ids that the caller's key is bound to are no arguments."""
        ids = {key: IDS[key] for key in SCOPE_KEYS if self.scoped and key not in principal.scope}
        hints = {"readOnlyHint": self.reads, "openWorldHint": False}
        if not self.reads:
            hints |= {"destructiveHint": self.destroys, "idempotentHint": self.destroys}
        return {
            "name": name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schemas.schema({**self.properties, **ids}, self.required),
            "annotations": {"title": self.title, **hints},
        }


def listed(principal: Principal) -> list[Answer]:
    """The tools that the caller may use, always in the same order."""
    return [
        tool.shown(name, principal)
        for name, tool in TOOLS.items()
        if tool.reads or not principal.read_only
    ]


def call(tool: Tool, principal: Principal, arguments: Arguments) -> Answer:
    """The result of a call. It tells the model of a failure, so that it can mend its arguments."""
    if not tool.destroys:  # a deletion with an id of null must fail, not delete more
        arguments = {name: value for name, value in arguments.items() if value is not None}
    try:
        answer = tool.run(principal, arguments)
    except ServiceError as error:
        if STATUS[error.code] >= 500:
            log.error("%s: %s", error.code, error.detail)
        return {"content": [_text(_told(error))], "isError": True}
    return {"content": [_text(json.dumps(answer))], "structuredContent": answer, "isError": False}


def _text(text: str) -> Answer:
    return {"type": "text", "text": text}


def _told(error: ServiceError) -> str:
    fields: list[FieldError] = getattr(error, "errors", [])
    return "\n".join([error.detail, *(f"{wrong.field}: {wrong.message}" for wrong in fields)])


_ONE = {"memory_id": schemas.MEMORY_ID}

TOOLS = {
    "add_memory": Tool(
        "Remember",
        "Remember a fact, or what is worth knowing of a conversation, for later conversations.",
        operations.add,
        schemas.ADD,
        scoped=True,
    ),
    "search_memories": Tool(
        "Search memories",
        "Find what is remembered about a question, best first, by meaning and by words.",
        operations.search,
        schemas.SEARCH,
        ("query",),
        scoped=True,
        reads=True,
    ),
    "get_memories": Tool(
        "List memories",
        "List what is remembered, newest first, by pages.",
        operations.list_page,
        schemas.LIST,
        scoped=True,
        reads=True,
    ),
    "get_memory": Tool(
        "Read a memory", "One memory by its id.", operations.get, _ONE, ("memory_id",), reads=True
    ),
    "update_memory": Tool(
        "Change a memory",
        "Give a memory another text, or add to its metadata.",
        operations.update,
        schemas.UPDATE,
        ("memory_id",),
        destroys=True,
    ),
    "delete_memory": Tool(
        "Forget a memory",
        "Delete one memory by its id.",
        operations.delete,
        _ONE,
        ("memory_id",),
        destroys=True,
    ),
    "delete_all_memories": Tool(
        "Forget all memories of somebody",
        "Delete every memory of a user, agent, app or run; of several ids, those that have all.",
        operations.delete_all,
        {},
        scoped=True,
        destroys=True,
    ),
    "list_entities": Tool(
        "List who has memories",
        "The users, agents, apps and runs that have memories, with how many.",
        operations.entities,
        {},
        reads=True,
    ),
    "delete_entities": Tool(
        "Forget somebody",
        "Delete a user, agent, app or run, with all memories. The same as delete_all_memories.",
        operations.delete_all,
        {},
        scoped=True,
        destroys=True,
    ),
}
