"""Environment variables other than settings: those that libraries read, and those by which the
master process tells its workers something."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def prepare_environment(data_dir: Path) -> None:
    """Turn telemetry off, and keep mem0's files under `data_dir`.

    Must be called before these libraries are imported: they read the variables only then.
    """
    os.environ["MEM0_TELEMETRY"] = "False"
    os.environ["MEM0_DIR"] = str(data_dir / "mem0")
    # Requests run in parallel already. With several threads for each matrix product, 200 adds by
    # 16 clients took 21 s on two cores; with one thread 4 s (2026-11-22).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # onnxruntime 1.32 speaks to Microsoft's servers as soon as it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC writes to stderr past our log
    # The openai library would take an account, headers and a log level from these.
    for name in ("ORG_ID", "PROJECT_ID", "ADMIN_KEY", "CUSTOM_HEADERS", "LOG"):
        os.environ.pop(f"OPENAI_{name}", None)
    os.environ.pop("OLLAMA_API_KEY", None)  # the ollama library sends it to any address


@contextmanager
def hidden_from_import(*names: str) -> Iterator[None]:
    """Hides the variables `names`, in any case of letters, from a library that is imported within
    and would act on them."""
    taken = {name: os.environ.pop(name) for name in [*os.environ] if name.upper() in names}
    try:
        yield
    finally:
        os.environ.update(taken)


_MASTER = "MEMORY_SERVICE_MASTER"


def _process(pid: object) -> str:
    return f"{platform.node()} {pid}"  # pids alone are alike in containers that share a folder


def name_service() -> None:
    """Name this process as the master of its workers. They inherit the name and so know which
    processes belong to their service."""
    os.environ[_MASTER] = _process(os.getpid())


def is_first_start() -> bool:
    """Whether no master of this service has been named yet: not at a reload or a replacement."""
    return _MASTER not in os.environ


def service_name() -> str:
    """The name of this process's master, or of this process where it is no worker."""
    return os.environ.get(_MASTER) or _process(os.getpid())


def hands_over(service: str) -> bool:
    """Whether this process replaces a worker of `service`: a worker of the same master (signal
    HUP), or of the master that its own master replaces (USR2; gunicorn sets GUNICORN_PID)."""
    if _MASTER not in os.environ:
        return False
    return service in (os.environ[_MASTER], _process(os.environ.get("GUNICORN_PID")))


_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def share_metrics(workers: int) -> None:
    """Give several `workers` one folder for the files of their metrics; one worker needs none.

    The master calls it before prometheus_client is imported, which reads the variable only then.
    """
    prefix = f"memory-service-metrics-{os.getpid()}-"
    if workers == 1:
        os.environ.pop(_METRICS, None)
    elif not Path(os.environ.get(_METRICS, "")).name.startswith(prefix):  # else a reload
        # In memory where possible: the files are mapped, and on a full disk a write to them would
        # end the process (SIGBUS).
        shm = Path("/dev/shm")  # noqa: S108  (the folder made in it is this user's alone)
        base = shm if os.access(shm, os.W_OK) else None
        os.environ[_METRICS] = tempfile.mkdtemp(prefix=prefix, dir=base)


def shared_metrics() -> Path | None:
    """The folder of the metrics of several workers; None where one worker keeps them in memory."""
    folder = os.environ.get(_METRICS)
    return Path(folder) if folder else None
