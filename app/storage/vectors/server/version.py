"""The version of the Qdrant server, and the features that older versions lack."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from app.errors import FieldError, InvalidRequest, VectorStoreRefused
from app.observability.once import Once
from app.storage.vectors.filters import Filter
from app.storage.vectors.server.kinds import OPERATOR_S
from app.storage.vectors.server.refusals import FAILED

log = logging.getLogger(__name__)

CORPUS_SINCE = (1, 19)
SUBSTRING_SINCE = (1, 20)
METADATA_SINCE = (1, 16)
CLUSTER_SINCE = (1, 19)
UNKNOWN = (0, 0)
LACKS = {
    CORPUS_SINCE: (
        "before 1.19 the scores of a search by words depend on the memories of all users, see "
        "SECURITY.md, and what was stored can be missing for a while after a restart of Qdrant"
    ),
    SUBSTRING_SINCE: "before 1.20 the filters contains and icontains are refused",
    METADATA_SINCE: (
        "before 1.16 no collection says how its words were cut: after an upgrade of this service "
        "that cuts them in another way, stop it and run 'python -m app.reembed'"
    ),
}
TEXTUAL = {"substring", "text"}


class ServerTooOld(VectorStoreRefused):
    retry_after = OPERATOR_S


class ServerVersion:
    """The version of a server, which is asked for until it is known."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client
        self._number = UNKNOWN
        self._tell = Once(log)

    @property
    def _shown(self) -> str:
        return ".".join(map(str, self._number))

    @property
    def counts_in_scope(self) -> bool:
        return self._number >= CORPUS_SINCE

    @property
    def keeps_metadata(self) -> bool:
        """Whether collections can have metadata; True for an unknown version."""
        return self._number == UNKNOWN or self._number >= METADATA_SINCE

    def check_filter(self, where: Filter) -> None:
        """Raises InvalidRequest for a filter that the version lacks. Of an unknown version the
        server itself refuses it."""
        if UNKNOWN < self._number < SUBSTRING_SINCE and TEXTUAL & {*_matches(where)}:
            detail = f"contains and icontains need Qdrant 1.20; the server is {self._shown}."
            raise InvalidRequest(detail, [FieldError("filters", detail)])

    def check_cluster(self) -> None:
        """Raises ServerTooOld for a version whose replicas may disagree, or that lacks guarded
        writes."""
        if UNKNOWN < self._number < CLUSTER_SINCE:
            why = (
                f"This needs Qdrant 1.19 or later, and the server is {self._shown}: before, "
                "replicas may apply a deletion or a guarded change to different memories."
            )
            self._tell(why, logging.ERROR)
            raise ServerTooOld(why)

    def ask(self) -> None:
        if self._number != UNKNOWN:
            return
        said = self._said()
        known = re.match(r"(\d+)\.(\d+)", said)
        self._number = (int(known[1]), int(known[2])) if known else UNKNOWN
        lacks = "; ".join(text for since, text in LACKS.items() if self._number < since)
        if lacks:
            self._tell(f"the Qdrant server is of version {said or 'unknown'}: {lacks}")

    def _said(self) -> str:
        """The version as the server says it; "" where it does not: a proxy may allow only calls
        about collections, or answer with a page of its own."""
        try:
            return self._client.info().version
        except UnexpectedResponse as error:
            if error.status_code is None or error.status_code >= FAILED:
                raise
        except ResponseHandlingException as error:
            if not isinstance(error.source, ValueError):
                raise
        except json.JSONDecodeError:
            pass
        return ""


def _matches(where: Any) -> Iterator[str]:
    """The kinds of match in a filter, at any depth."""
    if isinstance(where, Mapping):
        yield from where.get("match", ())
        for inner in where.values():
            yield from _matches(inner)
    elif isinstance(where, list):
        for inner in where:
            yield from _matches(inner)
