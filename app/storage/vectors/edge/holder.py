"""Who has the folder of the embedded store open: the next worker of a service waits for the one
before it, which still answers; a second service by mistake is told soon."""

from contextlib import suppress
from pathlib import Path

from app.config import hands_over, service_name


def sign(folder: Path) -> None:
    """For the process that has just opened it."""
    with suppress(OSError):  # such as a full disk: then the next worker has less patience
        _file(folder).write_text(service_name())


def is_predecessor(folder: Path) -> bool:
    """Whether a worker has it that will let go for this process."""
    try:
        return hands_over(_file(folder).read_text())
    except OSError:
        return False


def _file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.holder")
