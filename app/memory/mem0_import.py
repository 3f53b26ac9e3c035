"""Imports mem0 without two libraries that it does not need here. It must be the first import of
mem0.

qdrant_client: mem0 imports it for the type of a setting of its own Qdrant store, which is not used
here. The import would take 0.7 s and 50 MB at each start. Our store for a Qdrant server imports the
real library when it is needed.

posthog: sends mem0's telemetry, which is off. The import would take 0.1 s.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _without(name: str, **needed: type) -> Iterator[None]:
    """Within it an import of `name` gets an empty module with `needed`, unless the real one was
    imported before."""
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
