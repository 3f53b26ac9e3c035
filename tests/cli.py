"""The commands `python -m app.cli.NAME`, as an operator calls them."""

import subprocess
import sys
from typing import Any

from tests.service import ROOT, Service


class Command:
    """`python -m app.cli.NAME` with the settings of a service."""

    def __init__(self, name: str, service: Service) -> None:
        self._command = [sys.executable, "-m", f"app.cli.{name}"]
        self._environ = service.environ
        self._folder = service.data_dir.parent

    def launch(self, *arguments: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self._command, *map(str, arguments)],
            env=self._environ,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: Any) -> "subprocess.CompletedProcess[bytes]":
        with self.launch(*arguments) as process:
            output, errors = process.communicate(timeout=120)
            return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def must(self, *arguments: Any) -> bytes:
        """Its output, where it must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def refusal(self, *arguments: Any) -> str:
        """What it says, where it must fail: in words, not by a traceback."""
        done = self.run(*arguments)
        said = done.stderr.decode()
        assert done.returncode == 1, said
        assert "Traceback" not in said
        return said


def reembed(service: Service, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """By the name under which it stands in people's scripts."""
    return subprocess.run(
        [sys.executable, "-m", "app.reembed"],
        env={**service.environ, "PYTHONPATH": str(ROOT)},
        cwd=service.data_dir.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
