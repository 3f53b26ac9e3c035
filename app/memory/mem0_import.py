"""Imports mem0 without what it does not need here, before anything else imports it.

qdrant_client: mem0 imports it for the type of one setting of its own Qdrant store, which is not
used here. It would take 0.7 s and 50 MB at each start. Our store for a Qdrant server imports the
real one when it is asked for.

posthog: what mem0's telemetry is sent by, which is off. It would take 0.1 s.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _without(name: str, **needed: type) -> Iterator[None]:
    """An import of `name` finds nothing but `needed`, unless it was imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in = ModuleType(name)
    vars(stand_in).update(needed)
    try:
        yield
    finally:
        del sys.modules[name]


class _Unused:
    """Stands for qdrant_client.QdrantClient and posthog.Posthog."""


with _without("qdrant_client", QdrantClient=_Unused), _without("posthog", Posthog=_Unused):
    import mem0  # noqa: F401
