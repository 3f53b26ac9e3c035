"""The openai library, set up for this service. Imported late: see `openai.Client`."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai

from app.config.outgoing import proxy_for, trusted
from app.observability.trace import headers
from app.providers.openai.answers import parsed

CONNECT_S = 5.0
POOL = 256  # connections that are kept open: one for each thread
AZURE = "/openai/deployments/"  # where Azure takes a key by a header of its own
IDLE_S = 60.0  # and for how long: less than what lies between forgets a silent one (AWS: 350 s)


class Library:
    """Posts JSON; safe for many threads."""

    def __init__(self, base_url: str, key: str) -> None:
        address = httpx2.URL(base_url)
        self._api = openai.OpenAI(
            # Else httpx2 would send what stands before an @ in place of the key.
            base_url=address.copy_with(username=None, password=None, query=None),
            default_query=dict(address.params),  # Azure's ?api-version=
            api_key=key,
            max_retries=0,  # `retry.call` retries, within one deadline
            http_client=httpx2.Client(
                transport=_transport(base_url),
                follow_redirects=False,  # the texts and the key go where the settings say
            ),
            default_headers={"Accept-Encoding": "identity"},  # numbers in base64 shrink little
        )
        self._headers: dict[str, Any] = {}
        if AZURE in address.path:
            self._headers = {"api-key": key, "Authorization": openai.Omit()}

    def post(self, path: str, body: dict[str, Any], seconds: float) -> Any:
        """The JSON of an answer. Raises openai.APIError, TimeoutError, or ValueError."""
        if seconds <= 0:
            raise TimeoutError
        # The raw answer: to make models of the library's of it costs a fifth of the call.
        response = self._api.post(
            path,
            cast_to=httpx2.Response,
            content=json.dumps(body).encode(),
            options={
                "headers": {**headers(), **self._headers},
                "timeout": httpx2.Timeout(seconds, connect=min(seconds, CONNECT_S)),
            },
        )
        return parsed(response.content)

    def close(self) -> None:
        self._api.close()


def _transport(base_url: str) -> httpx2.BaseTransport:
    limits = httpx2.Limits(
        max_connections=None, max_keepalive_connections=POOL, keepalive_expiry=IDLE_S
    )
    proxy = proxy_for(base_url)
    return _Punctual(verify=trusted(), limits=limits, proxy=proxy and proxy.url)


class _Punctual(httpx2.HTTPTransport):
    """Ends an answer of which a little keeps coming: httpx2's own limit is for each piece.

    Some services send blank lines while a call waits for its place.
    """

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        until = time.monotonic() + request.extensions["timeout"]["read"]
        response = super().handle_request(request)
        response.stream = _Until(response.stream, until)
        return response


class _Until(httpx2.SyncByteStream):
    """A body that comes to an end by `until`, or by the limit of one more piece."""

    def __init__(self, body: Any, until: float) -> None:
        self._body = body
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            if time.monotonic() > self._until:
                raise httpx2.ReadTimeout("the answer is not whole in time")
            yield piece

    def close(self) -> None:
        self._body.close()
