"""A disk that fails when it is told to: write and sync calls of a process end with an errno."""

import errno
import mmap
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fault.c")
FAILS, AFTER, ERRNO, KINDS, FILES, FIRED, SEEN = range(7)  # as in fault.c
SIZE = 8 * (SEEN + 1)  # bytes
CALLS = {"write": 1, "sync": 2, "msync": 4, "room": 8}
PARTS = {"history": 1, "vectors": 2}


class DiskFaults:
    """Faults below `data_dir`, of every process that runs with `environ`.

    Needs a C compiler and Linux; without them the test that asks for it is skipped.
    """

    def __init__(self, folder: Path, data_dir: Path) -> None:
        """`folder` takes the library and the file that controls it."""
        library, control = folder / "fault.so", folder / "fault.ctl"
        build(library)
        control.write_bytes(bytes(SIZE))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), SIZE)
        self.environ: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAULT_DIR": str(data_dir.resolve()),
            "FAULT_CTL": str(control),
        }

    def fail(
        self,
        part: str,
        *calls: str,
        times: int = 1,
        after: int = 0,
        with_errno: int = errno.EIO,
    ) -> None:
        """Let `times` of the `calls` that touch the files of `part` ("history" or "vectors")
        fail, after `after` that succeed.

        "write", "sync" and "msync" end with the errno; "room" tells who asks for the room on the
        disk that there is none. No calls means all of them.
        """
        self.clear()
        self._set(FIRED, 0)
        self._set(SEEN, 0)
        self._set(ERRNO, with_errno)
        self._set(KINDS, sum(CALLS[call] for call in calls or CALLS))
        self._set(FILES, PARTS[part])
        self._set(AFTER, after)
        self._set(FAILS, times)

    def clear(self) -> None:
        self._set(FAILS, 0)

    @property
    def fired(self) -> int:
        """How many calls have failed since the last `fail`."""
        return self._get(FIRED)

    @property
    def seen(self) -> int:
        """How many calls there were that `fail` named, failed or not."""
        return self._get(SEEN)

    def _set(self, place: int, value: int) -> None:
        struct.pack_into("q", self._control, 8 * place, value)

    def _get(self, place: int) -> int:
        value: int = struct.unpack_from("q", self._control, 8 * place)[0]
        return value


def build(library: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc), which the failing disk is built with")
    command = [
        compiler,
        "-O2",
        "-Wall",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(SOURCE),
        "-ldl",
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"the failing disk cannot be built: {built.stderr}")
