"""Turns failures of a service that speaks OpenAI's API into ServiceErrors."""

from app.config.unreachable import is_unconnected
from app.errors import ProviderTimeout, ServiceError
from app.providers.kinds import bad_answer, failure_of
from app.providers.refusals import Refusal, Refused
from app.providers.target import Target
from app.providers.unreachable import unreachable


def translate(error: Exception, target: Target) -> ServiceError:
    """The ServiceError for `error`, in our own words: the library's may quote the key or a text."""
    import openai  # it has been imported already, by the call that failed

    if refusal := refusal_of(error):
        return failure_of(refusal, target)
    match error:
        case openai.APITimeoutError() if is_unconnected(error):
            return unreachable(error, target)
        case openai.APITimeoutError() | TimeoutError():
            return ProviderTimeout(
                f"The model {target.model} did not answer in time: see {target.role}_TIMEOUT."
            )
        case openai.APIConnectionError() | ConnectionError():
            return unreachable(error, target)
    return bad_answer(error, target)


def refusal_of(error: Exception) -> Refusal | None:
    """The refusal of the service, where the failure is one."""
    import openai

    match error:
        case Refused():
            return error.refusal
        case openai.APIStatusError():
            answer = error.response
            return Refusal.read(answer.status_code, answer.headers, answer.text)
    return None
