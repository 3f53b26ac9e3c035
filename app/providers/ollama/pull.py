"""Pulls models into Ollama in the background, and reports the progress."""

import logging
import threading
from collections.abc import Callable, Sequence

from app.providers.ollama.client import Clients

log = logging.getLogger(__name__)

PULL_RETRY_S = 10.0


class OllamaPull:
    def __init__(self, clients: Clients, missing: Callable[[], Sequence[str]]) -> None:
        """`missing` returns the models to pull; it may raise any exception."""
        self.progress: dict[str, str] = {}
        """For each model whose pull has begun: Ollama's status, with a percentage."""
        self._clients = clients
        self._missing = missing

    def start(self) -> None:
        threading.Thread(target=self._pull_until_done, name="ollama-pull", daemon=True).start()

    def _pull_until_done(self) -> None:
        pause = threading.Event()
        while True:
            try:
                for model in self._missing():
                    self._pull(model)
                return
            except Exception as error:  # Ollama is down or broke off: try again
                log.warning("pulling models from Ollama failed: %s", type(error).__name__)
                pause.wait(PULL_RETRY_S)

    def _pull(self, model: str) -> None:
        self.progress[model] = "starting"
        log.info("pulling the model %s", model)
        for step in self._clients.unlimited().pull(model, stream=True):
            share = f" {100 * (step.completed or 0) // step.total}%" if step.total else ""
            progress = f"{step.status}{share}"
            if progress != self.progress[model]:
                self.progress[model] = progress
                log.info("pulling the model %s: %s", model, progress)
        log.info("pulled the model %s", model)
