"""Whether a service that speaks OpenAI's API is there, by its list of models, which is free."""

import time
from functools import partial

from app.observability.metrics import ModelMeter
from app.providers.asked import Asked
from app.providers.openai.client import Client
from app.providers.openai.failures import refusal_of, translate
from app.providers.retry import call

CHECK_S = 2.0
FRESH_S = 30.0
"""A list that was had is not asked for again so soon: some have hundreds of models."""

NO_LIST = (403, 404, 405, 501)  # 403: a key may be allowed to chat and not to list


class OpenAIModel:
    """Whether the service of a model answers, and what it says of the model."""

    def __init__(self, client: Client, asked: Asked) -> None:
        self._client = client
        self._asked = asked
        self._meter = ModelMeter("list", f"openai/{asked.model}")
        self._note: str | None = None
        self._asked_at = -FRESH_S

    def check(self) -> str | None:
        """What there is to know where it answers; raises the ServiceError of its failure."""
        if time.monotonic() - self._asked_at >= FRESH_S:
            in_our_words = partial(translate, asked=self._asked)
            self._note = call(self._look, CHECK_S, in_our_words, self._meter)
            self._asked_at = time.monotonic()
        return self._note

    def _look(self, left: float) -> str | None:
        try:
            answer = self._client.get("/models", left)
            names = {model["id"].removeprefix("models/") for model in answer["data"]}
        except (KeyError, TypeError, AttributeError, ValueError):
            return "Not asked: its list of models is of another form."
        except Exception as error:
            refusal = refusal_of(error)
            if refusal and refusal.status in NO_LIST:
                return "Not asked: it gives no list of models."
            raise
        if self._asked.model.removeprefix("models/") in names:
            return None
        return f"Its list does not have {self._asked.model}: see {self._asked.role}_MODEL."
