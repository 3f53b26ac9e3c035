"""The commands of operators, run beside a service."""

import subprocess
import sys

from tests.service import ROOT, Service


def reembed(service: Service, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.reembed"],
        env={**service.environ, "PYTHONPATH": str(ROOT)},
        cwd=service.data_dir.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
