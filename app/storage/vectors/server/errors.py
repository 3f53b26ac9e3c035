"""What the Qdrant server and its client complain of over REST, as errors of the service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from app.config.outgoing import proxy_for
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
"""What the server says in plain text, where everything else is JSON."""


@contextmanager
def translated(address: Addresses, *, replicated: bool = False) -> Iterator[None]:
    """The client's failures as VectorStoreRefused, VectorStoreTimeout, VectorStoreUnavailable or
    InvalidRequest, and NoCollection for what is not there; `replicated`: see `error_of`."""
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
    except (json.JSONDecodeError, AssertionError) as error:  # the client asserts a result
        raise no_qdrant(address) from error


class AnsweredByProxy(Exception):
    """A page that is not the server's came from the proxy; its text says so."""


def refuse_pages_of_proxies(response: httpx.Response) -> None:
    """An event hook of httpx. Raises AnsweredByProxy; the server itself always says JSON."""
    if "json" not in response.headers.get("Content-Type", ""):
        proxy = proxy_for(str(response.url))
        if proxy:
            raise AnsweredByProxy(
                f"The proxy of {proxy.name} answered ({response.status_code}) in place of the "
                "Qdrant server: NO_PROXY names the hosts that are called without it."
            )


def refusal_of(error: UnexpectedResponse) -> Refusal | None:
    """None where what answered is no Qdrant."""
    status, text = error.status_code or 0, (error.content or b"").decode(errors="replace")
    if status == UNAUTHORIZED and text.startswith(OF_THE_KEY):
        return Refusal(status, text)
    try:
        said = json.loads(text)["status"]["error"]
    except (ValueError, TypeError, KeyError):
        return None
    return Refusal(status, str(said))


def no_qdrant(address: Addresses, status: int | None = None) -> ServiceError:
    """It may be anything, and have passed the request on."""
    how = f" ({status})" if status else ""
    error = VectorStoreUnavailable(
        f"What answers at {address} is no Qdrant{how}: see QDRANT_URL.{address.hint()}"
    )
    error.retry_after = OPERATOR_S
    return error


def _of_transport(error: ResponseHandlingException, address: Addresses) -> ServiceError:
    """Only where no connection came about is it certain that nothing was done."""
    source = error.source
    if isinstance(source, AnsweredByProxy):
        return VectorStoreUnavailable(str(source))
    if isinstance(source, httpx.ConnectError | httpx.ConnectTimeout):
        return unreachable(address, str(source))
    if isinstance(source, httpx.ProxyError):
        return unreachable(address)
    if isinstance(source, httpx.TimeoutException):
        return VectorStoreTimeout("The Qdrant server did not answer in time.")
    if isinstance(source, ValueError):  # an answer of another form
        return no_qdrant(address)
    return VectorStoreUnavailable("The connection to the Qdrant server broke off.")


def unreachable(address: Addresses, said: str = "") -> ServiceError:
    """No connection came about, so nothing was sent."""
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return VectorStoreRefused(
            f"The certificate of the Qdrant server at {address} is not trusted: SSL_CERT_FILE "
            "names a file of those that are."
        )
    return VectorStoreRefused(
        f"The Qdrant server does not answer. It is asked at {address}.{address.hint()}"
    )


def check_completed(status: models.UpdateStatus) -> None:
    """Raises VectorStoreTimeout for a write that is in the server's log and not carried out yet:
    `wait_timeout` and `acknowledged` come with status 200."""
    if status != models.UpdateStatus.COMPLETED:
        raise VectorStoreTimeout("The Qdrant server did not carry the write out in time.")
