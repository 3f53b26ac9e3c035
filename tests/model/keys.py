"""Keys that are revoked while they are used: whether one opens anything after that."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(eq=False)
class Key:
    """One that was minted. Numbers are of the clients' clock."""

    id: str
    secret: str
    user: str
    revoking: float = math.inf
    """When somebody first asked for its end."""
    revoked: float = math.inf
    """When somebody was first told of it."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def __str__(self) -> str:
        return f"key {self.id} of {self.user}, revoked between {self.revoking} and {self.revoked}"


class Use(NamedTuple):
    """One request with it."""

    key: Key
    started: float
    ended: float
    status: int

    def __str__(self) -> str:
        return f"{self.started} to {self.ended} answered {self.status}: {self.key}"


UNANSWERED = (503, 504)
"""Nothing was done, or it is not known: the stores failed."""


def accepted_after_revocation(uses: Iterable[Use]) -> Iterator[str]:
    """The next request after the answer must be refused, by every process."""
    for use in uses:
        if use.started > use.key.revoked and use.status not in (401, *UNANSWERED):
            yield str(use)


def refused_before_revocation(uses: Iterable[Use]) -> Iterator[str]:
    for use in uses:
        if use.status == 401 and use.ended < use.key.revoking:
            yield str(use)
