"""What the Qdrant server and its client complain of, as errors of the service."""

import re
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

CONFLICT, NOT_FOUND, TIMED_OUT, FORBIDDEN, FAILED = 409, 404, 408, (401, 403), 500
_OF_SHARDS = re.compile(r"\d+ out of \d+ shards")


@contextmanager
def translated() -> Iterator[None]:
    """The client's failures as VectorStoreRefused, VectorStoreTimeout or VectorStoreUnavailable."""
    try:
        yield
    except ResponseHandlingException as error:
        raise _of_transport(error) from error
    except ResourceExhaustedResponse as error:
        raise VectorStoreRefused("The Qdrant server is at its limits.") from error
    except UnexpectedResponse as error:
        raise _of_status(error) from error


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


def _of_transport(error: ResponseHandlingException) -> ServiceError:
    """Only where no connection came about is it certain that nothing was done."""
    source = error.source
    if isinstance(source, AnsweredByProxy):
        return VectorStoreUnavailable(str(source))
    detail = "The Qdrant server does not answer."
    if isinstance(source, httpx.TransportError) and (proxy := proxy_for(str(source.request.url))):
        detail = f"{detail} It is called through the proxy of {proxy.name}; see NO_PROXY."
    if isinstance(source, httpx.ConnectError | httpx.ConnectTimeout):
        return VectorStoreRefused(detail)
    if isinstance(source, httpx.TimeoutException):
        return VectorStoreTimeout("The Qdrant server did not answer in time.")
    return VectorStoreUnavailable(detail)


def _of_status(error: UnexpectedResponse) -> ServiceError:
    status = error.status_code or 0
    said = (error.content or b"").decode(errors="replace")
    if status in FORBIDDEN:
        return VectorStoreRefused("The Qdrant server refuses the key: check QDRANT_API_KEY.")
    detail = f"The Qdrant server failed ({status})."
    # 408 is its own timeout; and what one shard refuses, another may have done.
    clean = 400 <= status < 500 and status != TIMED_OUT and not _OF_SHARDS.search(said)
    return VectorStoreRefused(detail) if clean else VectorStoreUnavailable(detail)


def check_completed(result: models.UpdateResult) -> None:
    """Raises VectorStoreTimeout for a write that is in the server's log and not carried out yet:
    `wait_timeout` and `acknowledged` come with status 200."""
    if result.status != models.UpdateStatus.COMPLETED:
        raise VectorStoreTimeout("The Qdrant server did not carry the write out in time.")
