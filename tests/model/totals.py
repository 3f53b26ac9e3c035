"""Whether what a service says of how many memories there are, and whose, is what it lists."""

from collections import Counter
from collections.abc import Sequence

from app.security.scopes import SCOPE_KEYS
from tests.service import Service, polling

ARRIVED_S = 10  # in which what arrived late is deleted again


def differing(services: Sequence[Service]) -> list[str]:
    """What each of them says otherwise, when nobody writes."""
    found: list[str] = []
    for _ in polling(ARRIVED_S):
        found = [said for service in services for said in _said_otherwise(service)]
        if not found:
            break
    return found


def _said_otherwise(service: Service) -> list[str]:
    listed = service.ask("get_all")["results"]
    shown = service.http.get("/scopes").json()
    found = []
    for key in SCOPE_KEYS:
        said = {one["id"]: one["memories"] for one in shown[f"{key.removesuffix('_id')}s"]}
        counted = Counter(memory[key] for memory in listed if key in memory)
        found += [
            f"{key} {id_} has {counted[id_]} memories, and is said to have {said.get(id_, 0)}"
            for id_ in counted.keys() | said.keys()
            if counted[id_] != said.get(id_, 0)
        ]
    total = service.ask("get_all", limit=1)["total"]
    return found if total == len(listed) else [*found, f"{total} of {len(listed)} memories"]
