"""What libraries, gunicorn and other workers leave in the environment, or take from it."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def prepare_environment(data_dir: Path) -> None:
    """What libraries read when they are imported, and never again: so before any of them is.

    Turns telemetry off and keeps mem0's files under `data_dir`.
    """
    os.environ["MEM0_TELEMETRY"] = "False"
    os.environ["MEM0_DIR"] = str(data_dir / "mem0")
    # Each request has a thread already. With more of them for each matrix product 200 adds by 16
    # clients took 21 s on two cores, with one 4 s (2026-11-22).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # onnxruntime 1.32 speaks to Microsoft's servers as soon as it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would write lines of its own into the log
    # The openai library would take another account, other headers and a log level from these.
    for name in ("ORG_ID", "PROJECT_ID", "ADMIN_KEY", "CUSTOM_HEADERS", "LOG"):
        os.environ.pop(f"OPENAI_{name}", None)
    os.environ.pop("OLLAMA_API_KEY", None)  # and Ollama's would send this to whatever address


@contextmanager
def hidden_from_import(*names: str) -> Iterator[None]:
    """For a library that acts on these variables when it is imported, in any case of letters."""
    taken = {name: os.environ.pop(name) for name in [*os.environ] if name.upper() in names}
    try:
        yield
    finally:
        os.environ.update(taken)


_MASTER = "MEMORY_SERVICE_MASTER"


def _process(pid: object) -> str:
    return f"{platform.node()} {pid}"  # containers that share a folder count alike


def name_service() -> None:
    """For the process that starts workers, so that they know each other."""
    os.environ[_MASTER] = _process(os.getpid())


def service_name() -> str:
    """Of the service that this process works for, or of this process where it is no worker."""
    return os.environ.get(_MASTER) or _process(os.getpid())


def hands_over(service: str) -> bool:
    """Whether a process of `service` is a worker before this one: of the same master (HUP), or
    of the master that its own shall replace (USR2, for which gunicorn sets GUNICORN_PID)."""
    if _MASTER not in os.environ:
        return False
    return service in (os.environ[_MASTER], _process(os.environ.get("GUNICORN_PID")))


_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def share_metrics(workers: int) -> None:
    """For the process that starts `workers`, before prometheus_client is imported anywhere.

    Several get a new folder where they keep their numbers together; one needs none, and a
    variable that is left from elsewhere is taken away.
    """
    prefix = f"memory-service-metrics-{os.getpid()}-"
    if workers == 1:
        os.environ.pop(_METRICS, None)
    elif not Path(os.environ.get(_METRICS, "")).name.startswith(prefix):  # else a reload
        # In memory where that is possible. The files are mapped: on a full disk a write to them
        # would end the process (SIGBUS).
        shm = Path("/dev/shm")  # noqa: S108  (the folder made in it is this user's alone)
        base = shm if os.access(shm, os.W_OK) else None
        os.environ[_METRICS] = tempfile.mkdtemp(prefix=prefix, dir=base)


def shared_metrics() -> Path | None:
    """Where several workers keep their numbers; None where one keeps them in memory."""
    folder = os.environ.get(_METRICS)
    return Path(folder) if folder else None
