"""The formats that can be imported. Each has a module, and an entry in FORMATS."""

from app.memory.transfer.formats import chatgpt, claude, mem0, openmemory
from app.memory.transfer.records import Reader

FORMATS: dict[str, Reader] = {
    "chatgpt": chatgpt.read,
    "claude": claude.read,
    "openmemory": openmemory.read,
    "mem0": mem0.read,
}
"""The readers of the formats by the formats' names."""
