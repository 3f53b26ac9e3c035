"""Turns failures of Ollama into ServiceErrors."""

import re

import httpx
import ollama

from app.errors import ModelNotReady, ProviderTimeout, ServiceError
from app.providers.kinds import bad_answer, failure_of
from app.providers.refusals import Refusal, answer_of
from app.providers.refusals import Refused as _Refused
from app.providers.target import Target
from app.providers.unreachable import unreachable

_MISSING = re.compile(r"model .* not found")


class Refused(ollama.ResponseError):
    """The library's own error, with the whole answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words, refusal.status)
        self.refusal = refusal


def raise_refusals(response: httpx.Response) -> None:
    """An event hook for httpx. The library's own error has neither headers nor fields, and the
    library takes an error with status 200 for an answer."""
    content = response.read()
    if not response.is_success:
        text = content.decode(errors="replace")
        raise Refused(Refusal.read(response.status_code, response.headers, text))
    try:
        answer_of(response.status_code, response.headers, content)
    except _Refused as error:
        raise Refused(error.refusal) from None
    except ValueError:
        pass  # the library raises its own error


def translate(error: Exception, target: Target) -> ServiceError:
    match error:
        case Refused():
            missing = error.status_code == 404 and _MISSING.search(error.refusal.words)
            return not_there(target.model) if missing else failure_of(error.refusal, target)
        case httpx.ConnectTimeout():
            return unreachable(error, target)
        case httpx.TimeoutException() | TimeoutError():
            return ProviderTimeout(
                f"The model {target.model} did not answer in time: see {target.role}_TIMEOUT."
            )
        case ConnectionError() | httpx.TransportError():
            return unreachable(error, target)
    return bad_answer(error, target)


def not_there(model: str) -> ModelNotReady:
    return ModelNotReady(
        f"Ollama does not have the model {model}: run 'ollama pull {model}', or set "
        "OLLAMA_PULL=true."
    )
