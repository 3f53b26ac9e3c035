"""A collection of mem0 on a Qdrant server.

Points are read page by page (`POST /collections/NAME/points/scroll`), without their vectors,
because a collection does not say which model made them. Source: mem0ai 2.2.1,
mem0/vector_stores/qdrant.py; qdrant-client 1.20.0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.memory.transfer.formats import mem0_history
from app.memory.transfer.formats.mem0_payloads import memory_in
from app.memory.transfer.formats.reading import each
from app.memory.transfer.records import Item, NotThisFormat

PAGE = 256  # points asked for at once
TIMEOUT_S = 30
NOT_FOUND = 404


def read(
    url: str,
    collection: str | None = None,
    history: Path | None = None,
    api_key: str | None = None,
) -> Iterator[Item]:
    """The memories in `collection`, by default `mem0`, mem0's own default. `history` is mem0's
    SQLite file. Raises NotThisFormat."""
    with mem0_history.opened(history) as history_of:

        def read_point(line: int, point: Any) -> Iterator[Item]:
            yield memory_in(line, point.id, point.payload, history_of)

        yield from each(_points(url, collection or "mem0", api_key), read_point)


def _points(url: str, collection: str, api_key: str | None) -> Iterator[Any]:
    # Imported here because it takes half a second, and only this format needs it.
    from qdrant_client import QdrantClient
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    client = QdrantClient(url=url, api_key=api_key, timeout=TIMEOUT_S, check_compatibility=False)
    offset = None
    try:
        while True:
            points, offset = client.scroll(
                collection, limit=PAGE, offset=offset, with_payload=True, with_vectors=False
            )
            yield from points
            if offset is None:
                return
    except UnexpectedResponse as error:
        if error.status_code == NOT_FOUND:
            raise NotThisFormat(f"Name the collection, one of: {_known(client)}.") from None
        answer = f"{error.status_code} ({error.reason_phrase})"
        raise NotThisFormat(f"Qdrant answered {answer}.") from None
    except (ResponseHandlingException, ValueError):
        raise NotThisFormat("No Qdrant answers at that address, or not in time.") from None
    finally:
        client.close()


def _known(client: Any) -> str:
    names = sorted(one.name for one in client.get_collections().collections)
    return ", ".join(names) or "there is none"
