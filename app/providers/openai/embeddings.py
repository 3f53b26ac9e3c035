"""Embedders by OpenAI's API: POST /embeddings."""

import time
from base64 import b64decode
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from app.embeddings import Vector
from app.observability.metrics import ModelMeter
from app.providers.adaptation import Adaptation, Choice, Forms
from app.providers.fitting import FittingCalls
from app.providers.openai.client import Client, used
from app.providers.openai.failures import refusal_of, translate
from app.providers.retry import call
from app.providers.target import Target

REFUSALS = (400, 415, 422, 500, 501)  # statuses of a refused parameter; LiteLLM uses 500 for some


class OpenAIEmbeddings:
    """An EmbeddingModel by POST /embeddings. It asks for vectors as base64 where the service offers
    that: it costs a third of floats."""

    def __init__(
        self,
        client: Client,
        target: Target,
        seconds: float,
        calls: FittingCalls,
        dimensions: int | None = None,
    ) -> None:
        """`seconds`: the limit for all calls that one request for vectors takes. `dimensions`: the
        wanted size of the vectors; None for the model's own."""
        self.name = f"openai/{target.model}"
        self._client = client
        self._target = target
        self._seconds = seconds
        self._calls = calls
        self._meter = ModelMeter("embedder", self.name)
        self._takes_base64 = False
        """Whether the service has accepted base64 once."""
        choices = {
            "dimensions": Choice([dimensions, None], ["dimension"]),
            "encoding_format": Choice(["base64", None], ["encoding_format", "base64"]),
        }
        if dimensions is None:
            del choices["dimensions"]
        self._known = Adaptation(self.name, choices, self._refused)

    def __call__(self, texts: list[str]) -> list[Vector]:
        deadline = time.monotonic() + self._seconds
        return self._calls(texts, lambda part: self._ask(part, deadline))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _ask(self, texts: list[str], deadline: float) -> list[Vector]:
        def request(_left: float) -> list[Vector]:
            return self._known.ask(lambda forms: self._post(texts, forms, deadline))

        left = deadline - time.monotonic()
        return call(request, left, partial(translate, target=self._target), self._meter)

    def _post(self, texts: list[str], forms: Forms, deadline: float) -> list[Vector]:
        chosen = {name: form for name, form in forms.items() if form is not None}
        body = {"input": texts, "model": self._target.model, **chosen}
        answer = self._client.post("/embeddings", body, deadline - time.monotonic())
        self._takes_base64 |= "encoding_format" in chosen
        self._meter.tokens(used(answer, "prompt_tokens"))
        return [_vector(one["embedding"]) for one in _in_order(answer["data"])]

    def _refused(self, error: Exception) -> str | None:
        refusal = refusal_of(error)
        if refusal is None or refusal.status not in REFUSALS:
            return None
        # Until the service has accepted base64 once, any refusal may be because of it.
        return refusal.words if self._takes_base64 else f"encoding_format {refusal.words}"


def _in_order(data: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """`data` in the order of the texts. Gemini leaves an `index` of 0 out; others leave out or
    repeat all of them, and are then in order."""
    places = [int(one.get("index") or 0) for one in data]
    if len({*places}) < len(places):
        return data
    return [one for _, one in sorted(zip(places, data, strict=True), key=lambda pair: pair[0])]


def _vector(given: Any) -> Vector:
    if isinstance(given, str):
        vector: Vector = np.frombuffer(b64decode(given), "<f4").tolist()
        return vector
    return [float(number) for number in given]  # some services only send floats
