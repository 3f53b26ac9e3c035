"""Intents, their parts, and the answers of requests with a key, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Barrier
from typing import Any

import pytest

from app.errors import ServiceBusy
from app.storage.history import held
from app.storage.history.answers import KEPT_S, Answers, Claim
from app.storage.history.database import Database
from app.storage.history.held import NO_LOCKS, Hold, Under
from app.storage.history.intents import Intents
from app.storage.history.messages import Messages, session_key
from app.storage.history.parts import Part
from app.storage.history.rows import History
from app.storage.history.together import Finished, NewIntent
from app.storage.shared_locks import SharedLocks
from tests.databases import Place
from tests.histories import contents, row, said, save

ALICE = {"user_id": "alice"}
TOGETHER = 6
MANY = 300  # of each two memories: more than one statement takes
ROUNDS = 10


@pytest.fixture
def intents(database: Database) -> Intents:
    return Intents(database)


@pytest.fixture
def answers(database: Database) -> Answers:
    return Answers(database)


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


@pytest.fixture
def locked(database: Database) -> Under:
    """What a deletion in a fleet begins under."""
    hold = Hold("hold", "p", held.of_scope(ALICE))
    database.write(lambda connection: held.add(connection, hold))
    return Under(scope=ALICE)


def begun(
    intents: Intents,
    id_: str = "i",
    *,
    repeat: tuple[str, str] | None = None,
    under: Under = NO_LOCKS,
    **options: Any,
) -> int:
    return intents.begin("p", NewIntent(id_, 2, "{}", repeat, under), **options)


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives to several threads that call it in the same moment."""
    together = Barrier(TOGETHER)

    def wait(number: int) -> Any:
        together.wait(30)
        return work(number)

    with ThreadPoolExecutor(TOGETHER) as pool:
        return [*pool.map(wait, range(TOGETHER))]


def claim(answers: Answers, key: str = "k", process: str = "p") -> Claim | None:
    return answers.claim("admin", key, "print", process, ALICE)


class TestIntents:
    def test_are_given_back_in_the_order_in_which_they_were_begun(self, intents: Intents) -> None:
        numbers = [begun(intents, f"{n}") for n in range(20)]
        assert numbers == sorted({*numbers})
        assert [one.id for one in intents.of("p")] == [f"{n}" for n in range(20)]

    def test_of_one_batch_have_their_numbers_in_its_order(self, intents: Intents) -> None:
        numbers = intents.begin_all("p", [NewIntent(f"{n}", 2, "{}") for n in range(40)])
        assert numbers == sorted({*numbers})
        assert [one.id for one in intents.of("p")] == [f"{n}" for n in range(40)]

    def test_of_one_batch_each_go_on_under_the_locks_of_their_memories(
        self, database: Database, intents: Intents, place: Place
    ) -> None:
        of = {f"{n}": [f"{n} {part}" for part in range(2)] for n in range(MANY)}
        memories = dict.fromkeys(chain.from_iterable(of.values()), ALICE)
        new = [NewIntent(id_, 2, "{}", None, Under(ids)) for id_, ids in of.items()]
        with SharedLocks(database, lambda: "p").writing(memories):
            numbers = intents.begin_all("p", new)
        bound = zip(numbers, of.values(), strict=True)
        expected = {id_: number for number, ids in bound for id_ in ids}
        assert dict(place.sql("SELECT key, intent FROM locks")) == expected

    @pytest.mark.parametrize("process", ["p", "q"])
    def test_are_not_begun_without_the_locks_of_all_their_memories(
        self, database: Database, intents: Intents, process: str
    ) -> None:
        held = {"a": ALICE, **({} if process == "p" else {"b": ALICE})}
        new = [NewIntent(id_, 2, "{}", None, Under([id_])) for id_ in ("a", "b")]
        with SharedLocks(database, lambda: "p").writing(held), pytest.raises(ServiceBusy):
            intents.begin_all(process, new)
        assert intents.processes() == []

    def test_are_found_until_they_are_finished(self, intents: Intents, history: History) -> None:
        number = begun(intents)
        assert intents.number("i") == number
        assert intents.writing_beside("q") == ["p"]
        intents.finish(Finished(number, [row()]), keep=False)
        assert intents.number("i") is None
        assert intents.processes() == []
        assert len(history.get_history("m")) == 1

    def test_that_are_kept_are_done_and_forgotten_later(self, intents: Intents) -> None:
        number = begun(intents)
        intents.finish(Finished(number, []), keep=True)
        assert intents.done("p") == [number]
        intents.forget([number])
        assert intents.of("p") == []

    @pytest.mark.parametrize("keep", [False, True])
    def test_finished_by_many_at_once_leave_their_rows_once(
        self, intents: Intents, history: History, keep: bool
    ) -> None:
        for n in range(ROUNDS):
            number = begun(intents, f"{n}")
            finished = Finished(number, [row(f"m{n}")])
            at_once(lambda _, finished=finished: intents.finish(finished, keep=keep))
            assert len(history.get_history(f"m{n}")) == 1

    @pytest.mark.parametrize("keep", [False, True])
    def test_finished_together_by_many_at_once_leave_their_rows_once(
        self, intents: Intents, history: History, keep: bool
    ) -> None:
        for n in range(ROUNDS):
            new = [NewIntent(f"{n} {part}", 2, "{}") for part in range(3)]
            numbers = intents.begin_all("p", new)
            finished = [Finished(number, [row(f"m{n}")]) for number in numbers]
            orders = (finished, finished[::-1])
            at_once(lambda i, orders=orders: intents.finish_all(orders[i % 2], keep=keep))
            assert len(history.get_history(f"m{n}")) == 3

    def test_finished_and_cancelled_at_once_are_one_of_both(
        self, intents: Intents, answers: Answers, history: History
    ) -> None:
        for n in range(ROUNDS):
            key, id_ = f"key {n}", f"{n}"
            claim(answers, key)
            number = begun(intents, id_, repeat=("admin", key))

            def settle(i: int, id_: str = id_, number: int = number) -> None:
                if i % 2:
                    intents.finish(Finished(number, [row(f"m{id_}")], answer="{}"), keep=False)
                else:
                    intents.cancel(id_)

            at_once(settle)
            known = claim(answers, key, "another")
            assert len(history.get_history(f"m{n}")) == (1 if known and known.answer else 0)
            assert intents.number(id_) is None


class TestDeletions:
    def parts(self, intents: Intents, count: int = 4) -> int:
        number = begun(intents, first=Part(["0"], [row("m", new_memory="0")]), collecting=True)
        for n in range(1, count):
            intents.append(number, Part([f"{n}"], [row("m", new_memory=f"{n}")]))
        intents.complete(number, "i")
        return number

    def test_have_their_parts_in_order(self, intents: Intents, history: History) -> None:
        number = self.parts(intents)
        assert [*intents.ids(number, at_once=2)] == [["0", "1"], ["2", "3"]]
        intents.finish_deletion(number, ALICE, keep=False, purge=False)
        assert [found["new_memory"] for found in history.get_history("m")] == [*"0123"]

    def test_finished_by_many_at_once_leave_their_rows_once(
        self, intents: Intents, history: History, place: Place
    ) -> None:
        number = self.parts(intents)
        at_once(lambda _: intents.finish_deletion(number, ALICE, keep=False, purge=True))
        assert len(history.get_history("m")) == 4
        assert place.sql("SELECT count(*) FROM intent_parts") == [(0,)]
        assert intents.of("p") == []

    def test_of_a_fleet_are_seen_by_others_from_when_they_are_whole_until_they_end(
        self, intents: Intents, place: Place, locked: Under
    ) -> None:
        known = "SELECT user_id, ended_at IS NOT NULL FROM deletions ORDER BY seq"
        part, more = Part(["0"], [row("m")]), Part(["1"], [row("m")])
        number = begun(intents, first=part, under=locked, collecting=True)
        intents.append(number, more)
        assert place.sql(known) == []
        intents.complete(number, "i", locked)
        assert place.sql(known) == [("alice", False)]
        intents.finish_deletion(number, ALICE, keep=False, purge=False)
        assert place.sql(known) == [("alice", True)]

    def test_of_a_fleet_that_did_not_take_place_end_too(
        self, intents: Intents, place: Place, locked: Under
    ) -> None:
        begun(intents, first=Part(["0"], []), under=locked)
        assert place.sql("SELECT count(*) FROM deletions WHERE ended_at IS NULL") == [(1,)]
        intents.cancel("i")
        assert place.sql("SELECT count(*) FROM deletions WHERE ended_at IS NULL") == [(0,)]

    def test_of_nothing_are_seen_by_nobody(
        self, intents: Intents, place: Place, locked: Under
    ) -> None:
        begun(intents, under=locked)
        assert place.sql("SELECT count(*) FROM deletions") == [(0,)]

    def test_of_everything_are_seen_without_a_list_of_it(
        self, intents: Intents, place: Place, database: Database
    ) -> None:
        hold = Hold("hold", "p", held.of_scope({}))
        database.write(lambda connection: held.add(connection, hold))
        begun(intents, under=Under(scope={}))
        assert place.sql("SELECT count(*) FROM deletions") == [(1,)]

    def test_cut_off_while_they_were_written_down_say_so(self, intents: Intents) -> None:
        begun(intents, first=Part(["0"], []), collecting=True)
        assert [one.collecting for one in intents.of("p")] == [True]


class TestAnswers:
    def test_a_key_belongs_to_one_of_many_who_claim_it_at_once(self, answers: Answers) -> None:
        for n in range(ROUNDS):
            found = at_once(lambda i, n=n: claim(answers, f"{n}", f"p{i}"))
            assert found.count(None) == 1
            assert {one.answer for one in found if one} == {None}

    def test_an_answer_is_given_to_who_asks_again(self, answers: Answers, intents: Intents) -> None:
        assert claim(answers) is None
        number = begun(intents, repeat=("admin", "k"))
        intents.finish(Finished(number, [], answer='{"a": "龙井"}'), keep=False)
        assert claim(answers) == Claim("print", '{"a": "龙井"}', erased=False)

    def test_a_claim_is_released_unless_an_intent_of_it_is_open(
        self, answers: Answers, intents: Intents
    ) -> None:
        claim(answers)
        begun(intents, repeat=("admin", "k"))
        answers.release("admin", "k", "p")
        assert claim(answers)
        intents.cancel("i")
        assert claim(answers) is None
        answers.release("admin", "k", "p")
        assert claim(answers) is None

    def test_of_a_process_that_is_gone_are_released(
        self, answers: Answers, intents: Intents
    ) -> None:
        claim(answers, "free", "p")
        claim(answers, "of another", "q")
        assert {*intents.processes()} == {"p", "q"}
        answers.release_all("p")
        assert claim(answers, "free") is None
        assert claim(answers, "of another")

    def test_are_forgotten_after_a_day(self, answers: Answers, place: Place) -> None:
        claim(answers)
        place.sql("UPDATE answers SET asked_at = asked_at - ?", KEPT_S + 1)
        assert claim(answers) is None

    def test_are_erased_with_the_scope(self, answers: Answers, intents: Intents) -> None:
        claim(answers)
        answers.answer("admin", "k", "secret", "p")
        number = begun(intents)
        intents.finish_deletion(number, ALICE, keep=False, purge=True)
        assert claim(answers) == Claim("print", None, erased=True)


class TestWhatAnythingMayHold:
    def test_texts_with_nul_are_kept(self, intents: Intents, history: History) -> None:
        number = begun(intents)
        conversation = (said("a\0b"), "user_id=alice")
        finished = Finished(number, [row(new_memory="tea\0 milk")], said=[conversation])
        intents.finish(finished, keep=False)
        assert history.get_history("m")[0]["new_memory"] in ("tea\0 milk", "tea␀ milk")
        assert contents(history, "user_id=alice")[0] in ("a\0b", "a␀b")

    def test_ids_as_long_as_they_may_be_are_found_again(self, history: History) -> None:
        # Of code points that no compression makes shorter, in all of the four ids.
        text = "".join(chr(0x20000 + (n * 7919) % 40_000) for n in range(4 * 256))
        names = ("user_id", "agent_id", "app_id", "run_id")
        scope = {name: text[n * 256 : n * 256 + 256] for n, name in enumerate(names)}
        save(history, said("a"), session_key(scope))
        assert contents(history, session_key(scope)) == ["a"]

    def test_other_characters_come_back_as_they_were(self, history: History) -> None:
        odd = "\ufeff\ufffe\u202e\u0001\u001b\x7f 🏔\U0010ffff é e\u0301 \\x00 %s ' \""
        Messages(history.database).save([(said(odd), "user_id=alice")])
        assert contents(history, "user_id=alice") == [odd]
