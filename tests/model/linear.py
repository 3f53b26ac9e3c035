"""Was there a moment for each call at which it can have taken place, so that all answers are true?

A history of calls that overlap is linearizable (Herlihy and Wing 1990) when there is an order of
the calls that a single memory, called by one caller after the other, would have answered in the
same way, and in which no call comes before one that had ended before it began. The search for it
is that of Wing and Gong (Testing and verifying concurrent objects, 1993) with the memory of
states already tried that Lowe added (Testing for linearizability, 2017).

Objects are looked at one by one: linearizability is local, a whole is linearizable when each of
its objects is.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

State = frozenset[tuple[str, Any]] | None
"""The fields of a memory with their values; None while it is not there."""

MAX_TRIED = 300_000  # states of one search; a few hundred calls have some thousands
ABSENT: State = None


class TooHard(Exception):
    """The search was given up: too many calls overlap for it to end soon."""


@dataclass(frozen=True)
class Step:
    """One call to one memory, and what its answer said.

    `ended` is infinite for one whose outcome is not known: it may take place at any time after
    `started`, or never. Numbers are of one clock and never equal.
    """

    kind: Literal["add", "update", "delete", "clear", "read"]
    started: float
    ended: float = math.inf
    sets: State = frozenset()
    """What an add or an update writes: fields with their values; others stay."""
    sees: State = ABSENT
    """What a read was answered, and the memory that an update gave back."""
    note: str = ""

    @property
    def known(self) -> bool:
        return self.ended < math.inf

    def moves(self, state: State) -> tuple[bool, State]:
        """Whether it can take place on `state`, and what it makes of it."""
        match self.kind:
            case "read":
                return state == self.sees, state
            case "add":
                return state is None, self.sets
            case "clear":
                return True, None
            case "delete":
                return state is not None, None
        if state is None:
            return False, None
        new = frozenset({**dict(state), **dict(self.sets or ())}.items())
        return not self.known or new == self.sees, new


class Order(NamedTuple):
    """The longest legal order that was found, and the calls that then have no place."""

    steps: list[Step]
    left: list[Step]
    state: State

    @property
    def legal(self) -> bool:
        return not self.left

    def __str__(self) -> str:
        lines = [f"after {len(self.steps)} calls it is {shown(self.state)}; none of these fits:"]
        lines += [f"  {step}" for step in self.left[:6]]
        return "\n".join([*lines, "the last ones that fitted:", *map(str, self.steps[-6:])])


class _Node(NamedTuple):
    """A state that can be reached, the calls that are placed by then, and the way there."""

    state: State
    known: int  # a bit for each
    unknown: int
    step: Step | None = None
    before: "_Node | None" = None

    def path(self) -> list[Step]:
        steps = []
        node: _Node | None = self
        while node and node.step:
            steps.append(node.step)
            node = node.before
        return steps[::-1]


def find_order(steps: Iterable[Step], initial: State = ABSENT) -> Order:
    """A legal order of all the known ones, with whichever others it needs.

    Raises TooHard.
    """
    steps = sorted(steps, key=lambda step: step.started)
    known = [step for step in steps if step.known]
    unknown = [step for step in steps if not step.known and _matters(step, known)]
    everything = (1 << len(known)) - 1
    longest = _Node(initial, 0, 0)
    tried = set()
    waiting = [longest]
    while waiting:
        node = waiting.pop()
        if node.known == everything:
            return Order(node.path(), [], node.state)
        if node[:3] in tried:
            continue
        tried.add(node[:3])
        if len(tried) > MAX_TRIED:
            raise TooHard(f"{len(known)} calls, {len(unknown)} of unknown outcome")
        if node.known.bit_count() > longest.known.bit_count():
            longest = node
        waiting += _following(node, known, unknown)
    left = [known[place] for place in _places(longest.known, known)]
    return Order(longest.path(), left, longest.state)


def _following(node: _Node, known: Sequence[Step], unknown: Sequence[Step]) -> list[_Node]:
    """Where the next call can lead; what is most likely comes last."""
    places = list(_places(node.known, known))
    for place in places:
        step = known[place]
        if step.kind == "read" and step.moves(node.state)[0]:
            # It changes nothing, so an order that has it later is as legal with it here.
            return [_Node(node.state, node.known | 1 << place, node.unknown, step, node)]
    following = []
    limit = min(known[place].ended for place in places)
    for place, step in enumerate(unknown):
        possible, state = step.moves(node.state)
        fits = possible and state != node.state and step.started < limit
        if fits and not node.unknown >> place & 1:
            following.append(_Node(state, node.known, node.unknown | 1 << place, step, node))
    for place in sorted(places, key=lambda place: -known[place].ended):
        possible, state = known[place].moves(node.state)
        if possible:
            following.append(
                _Node(state, node.known | 1 << place, node.unknown, known[place], node)
            )
    return following


def _places(placed: int, known: Sequence[Step]) -> Iterator[int]:
    """Those that can be next: not placed yet, and begun before any other of these had ended."""
    first = (~placed & (placed + 1)).bit_length() - 1
    limit = math.inf
    for place in range(first, len(known)):
        if known[place].started > limit:
            return
        if not placed >> place & 1:
            limit = min(limit, known[place].ended)
            yield place


def _matters(step: Step, known: Sequence[Step]) -> bool:
    """Whether a call of unknown outcome can explain an answer. An update whose values nobody saw
    can as well never have taken place."""
    if step.kind != "update":
        return True
    return any(step.sets and other.sees and step.sets & other.sees for other in known)


def shown(state: State) -> str:
    return "not there" if state is None else str(dict(sorted(state)))
