"""Lines as the service exports them, made up."""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np

from app.embeddings import EmbedderInfo
from tests.filling import LOCAL

NDJSON = {"Content-Type": "application/x-ndjson"}


def raw(*lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def header(embedder: EmbedderInfo = LOCAL) -> dict[str, Any]:
    made_by = {"name": embedder.name, "dimensions": embedder.dimensions}
    return {"type": "header", "format": "memory-service", "version": 1, "embedder": made_by}


def memory(number: int, user: str, **fields: Any) -> dict[str, Any]:
    """The memory of that number, which was changed once, with a vector."""
    time = f"2024-03-{1 + number // 1000 % 28:02}T10:00:00.{number % 1000:03}000+00:00"
    text = f"memory {number} of {user}"
    first = {"event": "ADD", "new_memory": "first", "created_at": time, "updated_at": time}
    change = {"event": "UPDATE", "old_memory": "first", "new_memory": text, "created_at": time}
    return {
        "type": "memory",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, text)),
        "memory": text,
        "hash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "user_id": user,
        "metadata": {"number": number},
        "created_at": time,
        "updated_at": time,
        "history": [first, {**change, "updated_at": time}],
        "vector": vector(number, LOCAL.dimensions),
        **fields,
    }


def vector(number: int, dimensions: int) -> str:
    made = np.random.default_rng(number).standard_normal(dimensions, dtype=np.float32)
    return base64.b64encode(made.tobytes()).decode()


def whole(lines: Iterable[dict[str, Any]]) -> bytes:
    """With a header and a last line."""
    body = raw(header(), *lines)
    end = {"type": "end", "memories": 0, "deleted": 0, "events": 0}
    return body + raw({**end, "sha256": hashlib.sha256(body).hexdigest()})
