"""A real PgBouncer before a PostgreSQL, where there is one: Debian's package, or the program that
PGBOUNCER_BIN names."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.servers.postgresql import NOBODY, PASSWORD, PostgreSQLServer
from tests.service import free_port, wait_for

# A daemon, so Debian has it where not everybody looks.
PROGRAM = os.environ.get("PGBOUNCER_BIN") or shutil.which(
    "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"
)
WITHOUT = "there is no PgBouncer here: install it, or name it in PGBOUNCER_BIN"


class PgBouncer:
    """In transaction mode, if `settings` do not say another."""

    def __init__(self, postgresql: PostgreSQLServer, **settings: str) -> None:
        self.postgresql = postgresql
        self.port = free_port()
        self._root = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self._write(settings)

    def before(self, url: str) -> str:
        """The address of the same database, through this."""
        return url.replace(f":{self.postgresql.port}/", f":{self.port}/")

    def command(self, command: str) -> list[Any]:
        """Of its console."""
        address = self.before(self.postgresql.url("pgbouncer"))
        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute(command)
            return found.fetchall() if found.description else []

    def _write(self, settings: dict[str, str]) -> None:
        chosen = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._root / "users"),
            "admin_users": "postgres",
            "pool_mode": "transaction",
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in chosen.items()]
        server = f"* = host=127.0.0.1 port={self.postgresql.port}"
        text = "\n".join(["[databases]", server, "[pgbouncer]", *lines, ""])
        (self._root / "pgbouncer.ini").write_text(text)
        (self._root / "users").write_text(f'"postgres" "{PASSWORD}"\n')

    def __enter__(self) -> Self:
        assert PROGRAM
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # it will not be run by root
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in (self._root, *self._root.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        with (self._root / "log").open("ab") as log:
            command = [PROGRAM, str(self._root / "pgbouncer.ini")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **user)
        wait_for(self._answers, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._root)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"PgBouncer ended:\n{(self._root / 'log').read_text()}")
        with contextlib.suppress(psycopg.OperationalError):
            return bool(self.command("SHOW VERSION"))
        return False
