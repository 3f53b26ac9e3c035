"""The arguments of each tool as JSON Schema, with the descriptions that models read.

The names are those of mem0's hosted server, because people's prompts use them.
"""

from typing import Any

Schema = dict[str, Any]

IDS: dict[str, Schema] = {
    "user_id": {"type": "string", "description": "Whose memories: the user's id."},
    "agent_id": {"type": "string", "description": "The id of the agent that they belong to."},
    "app_id": {"type": "string", "description": "The id of the application they belong to."},
    "run_id": {"type": "string", "description": "The id of the conversation they belong to."},
}

FILTERS: Schema = {
    "type": "object",
    "description": (
        "Conditions, all of which must hold, or AND, OR, NOT with lists of them. Keys: the ids, "
        'created_at, updated_at, expiration_date, categories, keywords, memory_ids, and "metadata" '
        'with an object of its own. Such as {"created_at": {"gte": "2026-11-01"}}.'
    ),
}
MEMORY_ID: Schema = {"type": "string", "description": "The id of the memory, a UUID."}
METADATA: Schema = {"type": "object", "description": "Facts to filter by, such as its source."}

ADD: dict[str, Schema] = {
    "text": {"type": "string", "description": "What to remember, where there are no messages."},
    "messages": {
        "type": "array",
        "description": "A conversation, of which what is worth knowing is remembered.",
        "items": {
            "type": "object",
            "properties": {
                "role": {"type": "string", "enum": ["user", "assistant", "system"]},
                "content": {"type": "string"},
            },
            "required": ["role", "content"],
        },
    },
    "metadata": METADATA,
    "infer": {"type": "boolean", "description": "False stores the text exactly as it is."},
    "expiration_date": {"type": "string", "description": "The last day it is shown, YYYY-MM-DD."},
}
SEARCH: dict[str, Schema] = {
    "query": {"type": "string", "description": "What is looked for, in words of any language."},
    "filters": FILTERS,
    "top_k": {"type": "integer", "description": "How many at most; 10 if left out."},
    "threshold": {"type": "number", "description": "The least score, 0 to 1; 0.1 if left out."},
}
LIST: dict[str, Schema] = {
    "filters": FILTERS,
    "page": {"type": "integer", "description": "Which page, from 1."},
    "page_size": {"type": "integer", "description": "How many on a page, 1 to 1000."},
}
UPDATE: dict[str, Schema] = {
    "memory_id": MEMORY_ID,
    "text": {"type": "string", "description": "What it shall say from now on."},
    "metadata": METADATA,
}


def schema(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    return {"type": "object", "properties": properties, "required": [*required]}
