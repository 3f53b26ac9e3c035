"""How much memory there is for this process."""

import os
from pathlib import Path

CGROUPS = ("memory.max", "memory/memory.limit_in_bytes")
"""Of a container, in version 2 and 1."""


def memory_bytes(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Of the machine, or what a container is allowed of it."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in CGROUPS:
        path = cgroups / name
        text = path.read_text().strip() if path.exists() else ""
        limits += [int(text)] if text.isdigit() else []  # "max" where there is none
    return min(limits)
