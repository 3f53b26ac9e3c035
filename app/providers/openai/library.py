"""The openai library, set up for this service. Imported late: see `openai.Client`."""

import json
from typing import Any

import httpx2
import openai

from app.config.deadline import deadline_hooks
from app.config.outgoing import proxy_for, trusted
from app.observability.trace import headers
from app.providers.openai.answers import parsed
from app.providers.refusals import answer_of

CONNECT_S = 5.0
POOL = 256  # idle connections that are kept, one for each thread
IDLE_S = 60.0  # how long they are kept; networks drop idle connections later (AWS: after 350 s)
AZURE = "/openai/deployments/"  # in the path of Azure's addresses, which need another header


class Library:
    """Posts JSON; safe for many threads."""

    def __init__(self, base_url: str, key: str) -> None:
        address = httpx2.URL(base_url)
        begin, end = deadline_hooks(httpx2)
        self._api = openai.OpenAI(
            # A user in the address would replace the key in httpx2's requests.
            base_url=address.copy_with(username=None, password=None, query=None),
            default_query=dict(address.params),  # Azure's ?api-version=
            api_key=key,
            max_retries=0,  # `retry.call` retries, within one deadline
            http_client=httpx2.Client(
                transport=_transport(base_url),
                follow_redirects=False,  # texts and keys go only to the configured address
                event_hooks={"request": [begin], "response": [end]},
            ),
            default_headers={"Accept-Encoding": "identity"},  # base64 hardly compresses
        )
        self._headers: dict[str, Any] = {}
        if AZURE in address.path:
            self._headers = {"api-key": key, "Authorization": openai.Omit()}

    def post(self, path: str, body: dict[str, Any], seconds: float) -> Any:
        """POST `body`; the JSON of the answer. Raises openai.APIError, Refused, TimeoutError, or
        ValueError."""
        content = json.dumps(body).encode()
        # The raw answer, because the library's models would cost a fifth of the call.
        response = self._api.post(
            path, cast_to=httpx2.Response, content=content, options=self._options(seconds)
        )
        return answer_of(response.status_code, response.headers, response.content, parsed)

    def get(self, path: str, seconds: float) -> Any:
        """GET `path`; for the result and errors see `post`."""
        response = self._api.get(path, cast_to=httpx2.Response, options=self._options(seconds))
        return answer_of(response.status_code, response.headers, response.content)

    def _options(self, seconds: float) -> Any:
        if seconds <= 0:
            raise TimeoutError
        timeout = httpx2.Timeout(seconds, connect=min(seconds, CONNECT_S))
        return {"headers": {**headers(), **self._headers}, "timeout": timeout}

    def close(self) -> None:
        self._api.close()


def _transport(base_url: str) -> httpx2.BaseTransport:
    limits = httpx2.Limits(
        max_connections=None, max_keepalive_connections=POOL, keepalive_expiry=IDLE_S
    )
    proxy = proxy_for(base_url)
    return httpx2.HTTPTransport(verify=trusted(), limits=limits, proxy=proxy and proxy.url)
