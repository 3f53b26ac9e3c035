"""Holds what clients were told against what is there at the end."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.model.looking import Memories, Row, broken_chain, mistake, values
from tests.model.ops import Op

ALL = ""


@dataclass
class Life:
    """A memory that was acknowledged, or seen, and what was asked of it since."""

    born: Op
    asked: list[Op] = field(default_factory=list)

    def __str__(self) -> str:
        asked = sorted(self.asked, key=lambda op: op.started)
        return "\n    ".join(map(str, [self.born, *asked]))

    @property
    def may_be_gone(self) -> bool:
        return any(
            op.deletes and (op.done or op.unknown) and op.ended > self.born.started
            for op in self.asked
        )

    @property
    def must_be_gone(self) -> bool:
        """A delete of it was acknowledged, or somebody was told that it is not there."""
        return any(
            (op.kind != "history" and op.status == 404)
            or (op.deletes and op.done and op.started > self.born.promised)
            for op in self.asked
        )

    def may_be_erased(self, *kinds: str) -> bool:
        """By one of these kinds of deletion, its history with it."""
        return any(
            op.kind in kinds and (op.done or op.unknown) and op.ended > self.born.started
            for op in self.asked
        )

    def possible(self, name: str) -> list[Any]:
        """What the field may be: of the writes to it, each that no later one has replaced."""
        writes = [self.born]
        writes += [op for op in self.asked if name in op.values and (op.done or op.unknown)]
        return [
            write.values.get(name)
            for write in writes
            if not any(other.done and other.started > write.ended for other in writes)
        ]

    def fields(self) -> set[str]:
        return {name for op in (self.born, *self.asked) for name in op.values}

    def updates(self) -> tuple[int, int]:
        """How many it must have had, and how many it may have had."""
        updates = [op for op in self.asked if op.sets_fields]
        done = sum(op.done for op in updates)
        return done, done + sum(op.unknown for op in updates)


class Judge:
    """`found` has what is wrong, by kind."""

    kinds = ("lost", "doubled", "resurrected", "halved", "history", "refused")

    def __init__(self, *, failures: bool = False) -> None:
        """`failures`: things fail while clients ask, and may be answered so."""
        self.found: dict[str, list[str]] = defaultdict(list)
        self.acknowledged: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.asked = 0
        self.before: Memories = {}
        self.dead: set[str] = set()
        self.lives: dict[str, Life] = {}
        self._failures = failures
        self._misheard: set[str] = set()
        self._updates: dict[str, tuple[int, int]] = {}
        self._erased: dict[str, set[str]] = {"reset": set(), "purge": set()}
        self._users: dict[str, str] = {}

    def settle(self, ops: Sequence[Op], after: Memories) -> None:
        """Judge what `ops` have made of the memories; `after` is what the next ones build on."""
        self._count(ops)
        lives = self.lives = self._lives(ops, after)
        for memory_id, life in lives.items():
            self._settle_one(memory_id, life, after.get(memory_id))
        self._settle_unknown(ops, after)
        self._settle_halves([op for op in ops if op.kind in ("delete_all", "purge")], after)
        texts = Counter(memory["memory"] for memory in after.values())
        self.found["doubled"] += [
            f"{text!r} is listed {n} times" for text, n in texts.items() if n > 1
        ]
        self._remember(ops)
        self.dead |= lives.keys() - after.keys()
        self.before = after

    def _count(self, ops: Sequence[Op]) -> None:
        self.asked += len(ops)
        self.acknowledged.update(op.kind for op in ops if op.done)
        allowed = {None, 200, 201, 404}
        if self._failures:
            allowed |= {503, 504}
        for op in ops:
            gone_or_busy = op.key and op.status in (409, 410)  # what its key stored was erased
            as_said = gone_or_busy or (op.by and op.status == 401) or (op.job and op.status == 202)
            if op.status not in allowed and not as_said:
                self.found["refused"].append(f"{op} was answered {op.status}")
            self.failed[op.kind] += not op.done and op.status != 404

    def _lives(self, ops: Sequence[Op], after: Memories) -> dict[str, Life]:
        lives = {
            memory_id: Life(Op("add", memory["user_id"], -1, values=values(memory), ended=-1))
            for memory_id, memory in self.before.items()
        }
        for op in ops:
            for memory_id, text in zip(op.ids, op.texts, strict=False):
                lives[memory_id] = Life(replace(op, values={"memory": text, **op.values}))
        self._add_seen(lives, ops, after)
        asked = defaultdict(list)  # by memory, by user, and of all
        for op in ops:
            if op.kind not in ("add", "get_all"):
                of = op.memory_id or (ALL if op.kind == "reset" else op.user)
                asked[of].append(op)
        for memory_id, life in lives.items():
            life.asked = asked[memory_id] + asked[life.born.user] + asked[ALL]
        return lives

    def _add_seen(self, lives: dict[str, Life], ops: Sequence[Op], after: Memories) -> None:
        """What failed adds have left, where anybody has seen it."""
        adds = {op.started: op for op in ops if op.kind == "add" and op.unknown}
        texts = defaultdict(set)
        born = {}
        for memory_id, memory in (*seen(ops), *after.items()):
            add = adds.get(memory["metadata"].get("add"))
            if add and memory_id not in lives:
                born[memory_id] = add
                texts[memory_id].add(memory["memory"])
        for memory_id, add in born.items():
            # Where nobody has seen its first text, any will do.
            [first, *_] = [*texts[memory_id].intersection(add.texts), add.texts[0]]
            lives[memory_id] = Life(replace(add, values={"memory": first, **add.values}))

    def _settle_one(self, memory_id: str, life: Life, memory: Row | None) -> None:
        if memory is None:
            if not life.may_be_gone:
                self.found["lost"].append(f"{memory_id}: {life}")
            return
        if life.must_be_gone:
            self.found["resurrected"].append(f"{memory_id}: {life}")
            return
        listed = values(memory)
        for name in life.fields() | listed.keys():
            if listed.get(name) not in life.possible(name):
                wanted = f"{name} is {listed.get(name)!r}, not of {life.possible(name)}: {life}"
                self.found["lost"].append(f"{memory_id}: {wanted}")

    def _settle_unknown(self, ops: Sequence[Op], after: Memories) -> None:
        """Memories that nobody was told of must come from an add that was not answered."""
        for memory_id, memory in after.items():
            if memory_id in self.dead:
                self.found["resurrected"].append(f"{memory_id} of an earlier round: {memory}")
            elif memory_id not in self.lives:
                self.found["doubled"].append(f"nobody adds {memory} now, yet it is new")
        stored = Counter(memory["metadata"].get("add") for memory in after.values())
        for op in ops:
            count = stored[op.started] if op.kind == "add" else 0
            if count > len(op.texts):
                self.found["doubled"].append(f"{count} memories are of {op}")
            mine = [life for life in self.lives.values() if life.born.started == op.started]
            whole = count >= len(op.texts) or any(life.may_be_gone for life in mine)
            if op.unknown and count and not whole:
                self.found["halved"].append(f"of {op.texts} only {count} are there")

    def _settle_halves(self, delete_alls: Sequence[Op], after: Memories) -> None:
        """What a delete_all did that was not answered, it did to all memories or to none."""
        for op in delete_alls:
            there = Counter(
                memory_id in after
                for memory_id, life in self.lives.items()
                if life.born.ended < op.started and [o for o in life.asked if o.deletes] == [op]
            )
            if op.unknown and len(there) > 1:
                self.found["halved"].append(f"{op} left {there[True]}, took {there[False]}")

    def _remember(self, ops: Sequence[Op]) -> None:
        """What the histories may and must have at any later time."""
        for memory_id, life in self.lives.items():
            self._users[memory_id] = life.born.user
            least, most = self._updates.get(memory_id, (0, 0))
            done, possible = life.updates()
            self._updates[memory_id] = (least + done, most + possible)
            for kind, erased in self._erased.items():
                if life.may_be_erased(kind):
                    erased.add(memory_id)
        for op in ops:  # a purge reaches those too that were deleted before
            if op.kind in self._erased and (op.done or op.unknown):
                self._erased[op.kind] |= {
                    memory_id for memory_id in self.dead if op.is_about("", self._users[memory_id])
                }

    def hear(self, memory_id: str, rows: Sequence[Row], memory: Row | None) -> None:
        """The history of one memory, which is now `memory`."""
        wrong = self._wrong(memory_id, rows, memory)
        if wrong and memory_id not in self._misheard:  # once is enough
            self._misheard.add(memory_id)
            events = [(row["event"], row["old_memory"], row["new_memory"]) for row in rows]
            life = self.lives.get(memory_id, "not asked for")
            self.found["history"].append(f"{memory_id} {wrong}: {events}, {memory}\n    {life}")

    def _wrong(self, memory_id: str, rows: Sequence[Row], memory: Row | None) -> str | None:
        known = memory_id in self._users
        if not rows and memory is None and (not known or memory_id in self._erased["reset"]):
            return None
        texts = {row[field] for row in rows for field in ("old_memory", "new_memory")}
        purged = not memory and texts == {None} and memory_id in self._erased["purge"]
        if known and rows and rows[0]["new_memory"] is None and not purged:
            return "has lost texts"
        if wrong := mistake(rows, memory):
            return wrong
        updates = sum(row["event"] == "UPDATE" for row in rows)
        least, most = self._updates.get(memory_id, (0, updates))
        if not least <= updates <= most:
            return f"tells of {updates} updates, and there were {least} to {most}"
        return None

    def overhear(self, ops: Sequence[Op]) -> None:
        """The histories that clients were told meanwhile."""
        for op in ops:
            if op.kind == "history" and op.done and op.memory_id not in self._misheard:
                rows = op.answer["results"]  # the newest may be missing yet
                purged = any(row["new_memory"] is None for row in rows if row["event"] == "ADD")
                wrong = broken_chain(rows) if rows and not purged else None
                if wrong:
                    self._misheard.add(op.memory_id)
                    events = [(row["event"], row["old_memory"], row["new_memory"]) for row in rows]
                    self.found["history"].append(f"{op.memory_id} meanwhile {wrong}: {events}")

    def summary(self) -> str:
        counts = ", ".join(f"{kind} {len(self.found[kind])}" for kind in self.kinds)
        return f"acknowledged {self.acknowledged.total()}, {counts}"

    def conclude(self) -> None:
        """Fails with the first of every kind of mistake, if there is any."""
        kinds = [
            f"{len(found)} {kind}, such as\n  " + "\n  ".join(found[:5])
            for kind, found in self.found.items()
            if found
        ]
        if kinds:
            pytest.fail("\n".join(kinds), pytrace=False)


def seen(ops: Sequence[Op]) -> list[tuple[str, Mapping[str, Any]]]:
    """Every memory that an answer has shown."""
    found = []
    for op in ops:
        if op.done and op.kind == "get_all":
            found += [(memory["id"], memory) for memory in op.answer["results"]]
        elif op.done and op.kind == "get":
            found.append((op.memory_id, op.answer))
        elif op.done and op.sets_fields:
            found.append((op.memory_id, op.answer["result"]))
    return found
