"""Checks a service that speaks OpenAI's API, by its list of models, which costs nothing."""

from functools import partial

from app.observability.metrics import ModelMeter
from app.providers.openai.client import Client
from app.providers.openai.failures import refusal_of, translate
from app.providers.retry import call
from app.providers.target import Target

CHECK_S = 2.0
NO_LIST = (403, 404, 405, 501)  # 403: the key may be allowed to chat, but not to list


class OpenAIModel:
    """Checks whether the service of a model answers, and whether it lists the model."""

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client
        self._target = target
        self._meter = ModelMeter("list", f"openai/{target.model}")

    def check(self) -> str | None:
        """A note about the model, or None. Raises a ServiceError where the service fails."""
        return call(self._look, CHECK_S, partial(translate, target=self._target), self._meter)

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
        if self._target.model.removeprefix("models/") in names:
            return None
        return f"Its list does not have {self._target.model}: see {self._target.role}_MODEL."
