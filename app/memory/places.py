"""Numbers memories in the order of writing, so that a search knows which were written one after the
other."""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Sequence

from app.security.scopes import Scope
from app.storage.payloads import PLACE, Payload

MOST = 10_000  # conversations whose next number is kept
NOW = "~"  # sorts after every time


class Places:
    """Numbers the memories of each conversation consecutively.

    The numbers of a conversation begin at the current time in microseconds. No conversation grows
    faster than that, so numbers do not repeat after a restart, and there is a gap before the first.
    Each process numbers for itself, so there are also gaps between memories of different processes.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._next: OrderedDict[frozenset[tuple[str, str]], int] = OrderedDict()
        self._changing = threading.Lock()

    def give(self, scope: Scope, payloads: Sequence[Payload]) -> None:
        """Set the place of each payload of one add, in their order.

        Several memories in one add without a run_id need not be a conversation, so they get no
        places. They still use up numbers, so that memories before and after are not neighbours.
        """
        first = self._take(scope, len(payloads))
        if len(payloads) == 1 or scope.get("run_id"):
            for number, payload in enumerate(payloads, first):
                payload[PLACE] = number

    def of_batch(self, adds: Sequence[tuple[Scope, str | None, int]]) -> list[int | None]:
        """The first place of each add of a batch. `adds` are the scope, the time when it was said,
        and the number of memories of each.

        Places follow the order of the times; adds without a time come last, in the given order. An
        add with neither a run_id nor a time gets None, because its neighbours are unknown.
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
