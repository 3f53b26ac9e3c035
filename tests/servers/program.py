"""A real Qdrant, where somebody has one: the program that QDRANT_BIN names (`make qdrant`)."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

import httpx

from tests.service import free_port, wait_for

BINARY = os.environ.get("QDRANT_BIN")
START_S = 60


class QdrantProgram:
    """One node, with its data in `folder`: they outlive stop(), kill() and start()."""

    def __init__(self, folder: Path, *, api_key: str | None = None) -> None:
        self.folder = folder
        self.api_key = api_key
        self.port, self.grpc_port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        assert BINARY
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY], cwd=self.folder, env=self._environ(), stdout=log, stderr=log
            )
        wait_for(self.answers, START_S)
        return self

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self._process:
            self._process.send_signal(with_signal)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def settings(self, *, grpc: bool) -> dict[str, str]:
        """Of a service that is on it."""
        key = {"QDRANT_API_KEY": self.api_key} if self.api_key else {}
        return {
            **key,
            "QDRANT_URL": self.url,
            "QDRANT_GRPC": "on" if grpc else "off",
            "QDRANT_GRPC_PORT": str(self.grpc_port),
        }

    def _environ(self) -> dict[str, str]:
        key = {"QDRANT__SERVICE__API_KEY": self.api_key} if self.api_key else {}
        return {
            **os.environ,
            **key,
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.grpc_port),
            "QDRANT__STORAGE__STORAGE_PATH": str(self.folder / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
            "QDRANT__TELEMETRY_DISABLED": "true",
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_ports() -> tuple[int, int]:
    """Two in a row, as Qdrant's own are."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)):
                return port, port + 1
