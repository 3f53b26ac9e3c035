"""Failover for requests over REST: they go to another node of the cluster where one fails."""

import re
import time
from collections.abc import Sequence

import httpx

from app.storage.vectors.server.nodes import Nodes
from app.storage.vectors.server.refusals import FAILED, OF_LEADER

CONNECT_S = 1.0
"""Seconds in which a node must accept a connection, where there are other nodes."""
_READS = re.compile(r"GET .*|POST .*/(facet|points(/(query/batch|scroll|count))?)(\?.*)?")


class Failover(httpx.BaseTransport):
    """Tries the nodes in turn, within the deadline of one call.

    A write is sent to another node only where no connection could be made. Otherwise it may have
    taken place, and the caller has to find out.
    """

    def __init__(self, nodes: Nodes, transports: Sequence[httpx.BaseTransport]) -> None:
        """`transports` has one for each of `nodes`. Requests are addressed to the first node, and
        have their deadline in the extension `until`."""
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
        """`url`, which is of the first node, on another node."""
        first, node = self._urls[0], self._urls[number]
        path = url.raw_path.removeprefix(first.raw_path.rstrip(b"/"))
        return node.copy_with(raw_path=node.raw_path.rstrip(b"/") + path)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


def is_ready(url: str, transport: httpx.BaseTransport) -> bool:
    """Whether a node that failed can be used again. A node that has just started is not ready until
    it has caught up with the others."""
    limits = dict.fromkeys(("connect", "read", "write", "pool"), CONNECT_S)
    asked = httpx.Request("GET", f"{url}/readyz", extensions={"timeout": limits})
    try:
        response = transport.handle_request(asked)
        response.close()
    except httpx.TransportError:
        return False
    return response.status_code < FAILED
