"""How much memory this process may use."""

import os
from pathlib import Path

CGROUPS = ("memory.max", "memory/memory.limit_in_bytes")
"""The files with a container's limit, in cgroups of version 2 and 1."""


def memory_bytes(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The machine's memory in bytes, or the container's limit where that is less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in CGROUPS:
        path = cgroups / name
        text = path.read_text().strip() if path.exists() else ""
        limits += [int(text)] if text.isdigit() else []  # "max": no limit
    return min(limits)
