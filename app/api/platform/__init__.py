"""The dialect of mem0's Platform API, v1 to v3, as its published clients use it."""

from app.api.platform import absent, batches, entities, events, memories

BLUEPRINTS = (memories.bp, entities.bp, batches.bp, events.bp, absent.bp)
PATHS = r"/(v[123]|api/v1)(/|$)"
