"""An end for answers of which a little keeps coming: the limit of a library is for each piece."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def shorten(extensions: Mapping[str, Any], until: float) -> float:
    """Let each piece of the body of a request of httpx take what is left; returns `until`.

    Before the body is read, from the request's own `extensions`.
    """
    extensions["timeout"]["read"] = max(until - time.monotonic(), 0.001)
    return until


def pieces_until(body: Iterable[bytes], until: float, late: type[Exception]) -> Iterator[bytes]:
    """The pieces of `body` that come by `until`, of `time.monotonic`; `late` after it.

    Some services send blank lines while a call waits for its place.
    """
    for piece in body:
        if time.monotonic() > until:
            raise late("the answer is not whole in time")
        yield piece
