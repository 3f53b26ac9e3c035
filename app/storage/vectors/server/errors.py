"""Turns failures over REST, of the Qdrant server or its client, into ServiceErrors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from app.config.outgoing import proxy_for
from app.config.unreachable import UNTRUSTED, why_unreachable
from app.errors import (
    ServiceError,
    VectorStoreRefused,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.storage.vectors.base import NoCollection
from app.storage.vectors.server.kinds import OPERATOR_S
from app.storage.vectors.server.nodes import Addresses
from app.storage.vectors.server.refusals import LIMITED, NOT_FOUND, UNAUTHORIZED, Refusal, error_of

OF_THE_KEY = ("Must provide an API key", "Invalid API key")
"""The only errors that the server sends as plain text, not as JSON."""
GONE = (
    "The collection {} is gone from the Qdrant server: restore it from a snapshot. The next memory "
    "that is stored as it is given, or a restart of this service, makes an empty one."
)


@contextmanager
def translated(address: Addresses, *, replicated: bool = False) -> Iterator[None]:
    """Turns the client's failures into VectorStoreRefused, VectorStoreTimeout,
    VectorStoreUnavailable, InvalidRequest, or NoCollection where it does not exist. `replicated`:
    see `error_of`."""
    try:
        yield
    except ResponseHandlingException as error:
        raise _of_transport(error, address) from error
    except ResourceExhaustedResponse as error:
        after = int(error.retry_after_s)
        refusal = Refusal(LIMITED, error.message, after)
        raise error_of(refusal, replicated=replicated) from error
    except UnexpectedResponse as error:
        refused = refusal_of(error)
        if refused is None:
            raise no_qdrant(address, error.status_code) from error
        if refused.status == NOT_FOUND:
            raise NoCollection from error
        raise error_of(refused, replicated=replicated) from error
    except (json.JSONDecodeError, AssertionError) as error:  # the client asserts that a result came
        raise no_qdrant(address) from error


class AnsweredByProxy(Exception):
    """The proxy answered with a page of its own; the text says so."""


def refuse_pages_of_proxies(response: httpx.Response) -> None:
    """An event hook for httpx. Raises AnsweredByProxy for an answer that is not JSON, which the
    server itself never sends."""
    if "json" not in response.headers.get("Content-Type", ""):
        proxy = proxy_for(str(response.url))
        if proxy:
            raise AnsweredByProxy(
                f"The proxy of {proxy.name} answered ({response.status_code}) in place of the "
                "Qdrant server: NO_PROXY names the hosts that are called without it."
            )


def refusal_of(error: UnexpectedResponse) -> Refusal | None:
    """The server's refusal; None where the answer is not from Qdrant."""
    status, text = error.status_code or 0, (error.content or b"").decode(errors="replace")
    if status == UNAUTHORIZED and text.startswith(OF_THE_KEY):
        return Refusal(status, text)
    try:
        said = json.loads(text)["status"]["error"]
    except (ValueError, TypeError, KeyError):
        return None
    return Refusal(status, str(said))


def no_qdrant(address: Addresses, status: int | None = None) -> ServiceError:
    """The error where the answer is not from Qdrant. The write may have reached Qdrant all the
    same, since another program may have passed the request on."""
    how = f" ({status})" if status else ""
    error = VectorStoreUnavailable(
        f"What answers at {address} is no Qdrant{how}: see QDRANT_URL.{address.hint()}"
    )
    error.retry_after = OPERATOR_S
    return error


def _of_transport(error: ResponseHandlingException, address: Addresses) -> ServiceError:
    """The error for a failed connection. Only where none could be made was certainly nothing
    sent."""
    source = error.source
    if isinstance(source, AnsweredByProxy):
        return VectorStoreUnavailable(str(source))
    if isinstance(source, httpx.ConnectError | httpx.ConnectTimeout):
        return unreachable(address, source)
    if isinstance(source, httpx.ProxyError):
        return unreachable(address)
    if isinstance(source, httpx.TimeoutException):
        return VectorStoreTimeout("The Qdrant server did not answer in time.")
    if isinstance(source, ValueError):  # an answer of another form
        return no_qdrant(address)
    return VectorStoreUnavailable("The connection to the Qdrant server broke off.")


def unreachable(
    address: Addresses, error: BaseException | None = None, said: str = ""
) -> ServiceError:
    """The error where no connection could be made, so that nothing was sent; `said` is what gRPC
    has for `error`."""
    why = UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in said else error and why_unreachable(error)
    why = why or "does not answer"
    return VectorStoreRefused(f"The Qdrant server {why}. It is asked at {address}.{address.hint()}")


def check_completed(status: models.UpdateStatus) -> None:
    """Raises VectorStoreTimeout for a write that is in the server's log but was not carried out:
    the statuses `wait_timeout` and `acknowledged` come with HTTP's 200."""
    if status != models.UpdateStatus.COMPLETED:
        raise VectorStoreTimeout("The Qdrant server did not carry the write out in time.")
