"""Requests over REST, to another node of the cluster where one fails."""

import re
import time
from collections.abc import Sequence

import httpx

from app.storage.vectors.server.nodes import Nodes
from app.storage.vectors.server.refusals import FAILED, OF_LEADER

CONNECT_S = 1.0
"""In which a node has to take a connection where there are others to ask."""
_READS = re.compile(r"GET .*|POST .*/(facet|points(/(query/batch|scroll|count))?)(\?.*)?")


class Failover(httpx.BaseTransport):
    """Asks the nodes in turn, within the time of one call.

    A write is sent to another one only where no connection came about: else it may have been
    done, and whoever sent it has to find out.
    """

    def __init__(self, nodes: Nodes, transports: Sequence[httpx.BaseTransport]) -> None:
        """One of `transports` for each of `nodes`. Requests are made for the first of them, and
        say in their extension `until` when their time is over."""
        self._urls = [httpx.URL(str(node.address)) for node in nodes]
        self._transports = transports
        self._nodes = nodes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_read = bool(_READS.fullmatch(f"{request.method} {request.url.raw_path.decode()}"))
        turn = self._nodes.in_turn()
        failure: httpx.TransportError = httpx.ConnectTimeout("no time is left", request=request)
        for number in turn:
            try:
                response = self._ask(number, request)
            except httpx.TransportError as error:
                self._nodes.failed(number)
                failure = error
                if not is_read and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    break
            else:
                if response.status_code < FAILED or OF_LEADER in response.text:
                    self._nodes.answered(number)
                    return response
                self._nodes.failed(number)
                if number == turn[-1] or not is_read:
                    return response
            if time.monotonic() >= request.extensions["until"]:
                break
        raise failure

    def _ask(self, number: int, request: httpx.Request) -> httpx.Response:
        left = max(request.extensions["until"] - time.monotonic(), 0.001)
        request.extensions["timeout"] |= {"connect": min(CONNECT_S, left), "read": left}
        url = self._at(number, request.url)
        headers = request.headers.copy()
        headers["Host"] = url.netloc.decode()
        asked = httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        response = self._transports[number].handle_request(asked)
        if response.status_code >= FAILED:
            response.read()
        return response

    def _at(self, number: int, url: httpx.URL) -> httpx.URL:
        """`url`, which is one of the first node, at another."""
        first, node = self._urls[0], self._urls[number]
        path = url.raw_path.removeprefix(first.raw_path.rstrip(b"/"))
        return node.copy_with(raw_path=node.raw_path.rstrip(b"/") + path)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


def is_ready(url: str, transport: httpx.BaseTransport) -> bool:
    """Whether a node that failed can be asked again: one that has just started says that it is
    not, until it has what the others have."""
    limits = dict.fromkeys(("connect", "read", "write", "pool"), CONNECT_S)
    asked = httpx.Request("GET", f"{url}/readyz", extensions={"timeout": limits})
    try:
        response = transport.handle_request(asked)
        response.close()
    except httpx.TransportError:
        return False
    return response.status_code < FAILED
