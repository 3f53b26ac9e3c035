"""Places in the order of writing, by which a search knows what was said before and after."""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Sequence

from app.security.scopes import Scope
from app.storage.payloads import PLACE, Payload

MOST = 10_000  # conversations that are remembered
NOW = "~"  # after every time


class Places:
    """Numbers the memories of each conversation, one more for each.

    A conversation that is not known, such as one from before a restart, goes on at the time in
    microseconds: no conversation grows faster, so numbers never come twice, and the first of them
    has none just before it. Processes number for themselves, so between memories that different
    processes wrote there is none either.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._next: OrderedDict[frozenset[tuple[str, str]], int] = OrderedDict()
        self._changing = threading.Lock()

    def give(self, scope: Scope, payloads: Sequence[Payload]) -> None:
        """Put its place on each payload of one add, in their order.

        Several that came at once without a run_id may be anything, such as an import: they have
        none, and what was written before them is not next to what comes after.
        """
        first = self._take(scope, len(payloads))
        if len(payloads) == 1 or scope.get("run_id"):
            for number, payload in enumerate(payloads, first):
                payload[PLACE] = number

    def of_batch(self, adds: Sequence[tuple[Scope, str | None, int]]) -> list[int | None]:
        """The first place of each of several adds that come at once: its scope, the time when it
        was said, and how many memories it has. In the order of these times, those without one at
        the end, as they were given.

        None for one that has neither a run_id nor a time: it may be next to anything.
        """
        first: list[int | None] = [None] * len(adds)
        conversations: defaultdict[frozenset[tuple[str, str]], list[int]] = defaultdict(list)
        for number, (scope, _, _) in enumerate(adds):
            conversations[frozenset(scope.items())].append(number)
        for conversation, numbers in conversations.items():
            place = self._take(dict(conversation), sum(adds[number][2] for number in numbers))
            for number in sorted(numbers, key=lambda one: adds[one][1] or NOW):
                scope, time, count = adds[number]
                if time or scope.get("run_id"):
                    first[number] = place
                place += count
        return first

    def _take(self, scope: Scope, count: int) -> int:
        key = frozenset(scope.items())
        with self._changing:
            first = self._next.pop(key, None) or time.time_ns() // 1000
            self._next[key] = first + count
            if len(self._next) > self._most:
                self._next.popitem(last=False)
        return first
