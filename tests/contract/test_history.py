"""The history and the messages, on every database that they may be kept in."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from mem0.memory.storage import SQLiteManager

from app.errors import HistoryUnavailable
from app.storage.history import rows
from app.storage.history.database import Database
from app.storage.history.messages import Messages, parse_scope, session_key
from app.storage.history.rows import History
from tests.databases import Place
from tests.histories import add, contents, delete_scope, row, said, save


@pytest.fixture
def history(place: Place) -> Iterator[History]:
    opened = History(Database(place.backend()))
    yield opened
    opened.close()


class TestAsMem0HasIt:
    def test_rows_are_the_same_as_mem0s_but_for_their_ids(self, history: History) -> None:
        theirs = SQLiteManager(":memory:")
        details = {"created_at": "2024-01-01", "actor_id": "bob", "role": "user"}
        deleted = {"old_memory": "tea", "new_memory": None, "updated_at": "2024-01-02"}
        written = [
            row(**details),
            row(event="DELETE", is_deleted=1, **deleted),
            row(event="ADD", role="assistant"),
        ]
        theirs.batch_add_history(written)
        add(history, *written)
        answers = [store.get_history("m") for store in (theirs, history)]
        theirs.close()
        assert {found.pop("written_by") for found in answers[1]} == {None}
        assert [[*found] for found in answers[0]] == [[*found] for found in answers[1]]
        for found in (*answers[0], *answers[1]):
            found.pop("id")
        # mem0 sorts by times that may be missing, we by what happened first.
        assert sorted(answers[0], key=str) == sorted(answers[1], key=str)

    def test_messages_are_the_same_as_mem0s_but_for_their_times(self, history: History) -> None:
        theirs = SQLiteManager(":memory:")
        messages = [{"role": "user", "content": "a", "name": "bob"}, {"role": "assistant"}]
        theirs.save_messages(messages, "user_id=u")
        save(history, messages, "user_id=u")
        reading = (theirs, Messages(history.database))
        answers = [store.get_last_messages("user_id=u") for store in reading]
        theirs.close()
        assert [[*found] for found in answers[0]] == [[*found] for found in answers[1]]
        for found in (*answers[0], *answers[1]):
            found.pop("created_at")
        assert answers[0] == answers[1]


class TestWritten:
    """What a key wrote."""

    @pytest.fixture
    def found(self, history: History) -> Callable[..., set[str]]:
        """Two keys' rows: on the first and third of a month, and one deletes on the fourth."""

        def event(memory_id: str, day: int, by: str | None, **columns: Any) -> dict[str, Any]:
            at = f"2026-01-0{day}T00:00:00.000000+00:00"
            return row(memory_id, updated_at=at, written_by=by, **columns)

        add(
            history,
            event("early", 1, "a", user_id="u"),
            event("late", 3, "a", user_id="v"),
            event("late", 3, "a", user_id="v", event="UPDATE"),
            event("theirs", 3, "b", user_id="u"),
            event("theirs", 4, "a", user_id="u", event="DELETE"),
            event("nobody's", 3, None, user_id="u"),
        )

        def written(by: str, since: int = 0, until: int = 0, **scope: str) -> set[str]:
            days = [(day and datetime(2026, 1, day, tzinfo=UTC)) or None for day in (since, until)]
            ids = history.written(by, scope, *days)
            assert len({*ids}) == len(ids)
            return {*ids}

        return written

    def test_is_what_it_added_or_changed(self, found: Callable[..., set[str]]) -> None:
        assert found("a") == {"early", "late"}
        assert found("b") == {"theirs"}
        assert found("c") == set()

    def test_is_bounded_by_since_inclusive_and_until_exclusive(
        self, found: Callable[..., set[str]]
    ) -> None:
        assert found("a", since=1, until=3) == {"early"}
        assert found("a", since=2) == {"late"}
        assert found("a", since=3, until=4) == {"late"}

    def test_is_of_a_scope(self, found: Callable[..., set[str]]) -> None:
        assert found("a", user_id="u") == {"early"}


class TestRows:
    def test_are_given_oldest_first_whatever_their_times_say(self, history: History) -> None:
        for number, year in enumerate(["2030", "2010", "2020"]):
            add(history, row(new_memory=f"{number}", event="UPDATE", created_at=f"{year}-01-01"))
        assert [found["new_memory"] for found in history.get_history("m")] == ["0", "1", "2"]

    def test_of_one_batch_keep_its_order(self, history: History) -> None:
        add(history, *(row(new_memory=str(number)) for number in range(200)))
        texts = [found["new_memory"] for found in history.get_history("m")]
        assert texts == [str(number) for number in range(200)]

    def test_have_mem0s_columns_and_who_wrote_them(self, history: History) -> None:
        add(history, row(user_id="u", actor_id="bob", role="user", written_by="95c71b81", odd=1))
        (found,) = history.get_history("m")
        assert len(found.pop("id")) == 36
        assert found == {
            "memory_id": "m",
            "old_memory": None,
            "new_memory": "tea",
            "event": "ADD",
            "created_at": None,
            "updated_at": None,
            "is_deleted": False,
            "actor_id": "bob",
            "role": "user",
            "written_by": "95c71b81",
        }

    def test_have_ids_of_their_own(self, history: History) -> None:
        add(history, row(id="given"), row(id="given"))
        ids = {found["id"] for found in history.get_history("m")}
        assert len(ids) == 2
        assert "given" not in ids

    def test_say_whether_the_memory_is_deleted_as_a_boolean(self, history: History) -> None:
        add(history, row(is_deleted=1), row(is_deleted=None), row())
        deleted = [found["is_deleted"] for found in history.get_history("m")]
        assert deleted == [True, False, False]
        assert {type(value) for value in deleted} == {bool}

    def test_keep_the_scope_of_their_memory(self, history: History, place: Place) -> None:
        add(history, row(user_id="u", agent_id="a", app_id="b", run_id="r"), row(user_id="v"))
        stored = place.sql("SELECT user_id, agent_id, app_id, run_id FROM history ORDER BY seq")
        assert stored == [("u", "a", "b", "r"), ("v", None, None, None)]

    def test_of_another_memory_are_not_given(self, history: History) -> None:
        add(history, row("m"), row("other"))
        assert [found["memory_id"] for found in history.get_history("m")] == ["m"]
        assert history.get_history("unknown") == []

    def test_of_a_batch_with_a_wrong_one_are_all_refused(self, history: History) -> None:
        with pytest.raises(HistoryUnavailable):
            add(history, row(), row(event=None))
        assert history.get_history("m") == []

    def test_none_at_all_are_no_write(self, history: History, place: Place) -> None:
        add(history)
        assert place.sql("SELECT count(*) FROM history") == [(0,)]

    def test_are_there_after_closing_and_opening_again(
        self, history: History, place: Place
    ) -> None:
        add(history, row(new_memory="龙井茶 🏔"))
        history.close()
        again = History(Database(place.backend()))
        assert [found["new_memory"] for found in again.get_history("m")] == ["龙井茶 🏔"]
        again.close()


class TestMessages:
    def test_are_given_oldest_first_across_saves(self, history: History) -> None:
        save(history, said("a", "b"), "user_id=u")
        save(history, said("c"), "user_id=u")
        assert contents(history, "user_id=u") == ["a", "b", "c"]
        assert contents(history, "user_id=u", limit=2) == ["b", "c"]

    def test_are_kept_to_the_last_ten_of_each_conversation(
        self, history: History, place: Place
    ) -> None:
        for number in range(7):
            save(history, said(f"u{number}a", f"u{number}b"), "user_id=u")
            save(history, said(f"v{number}"), "user_id=v")
        last = [f"u{number}{half}" for number in range(2, 7) for half in "ab"]
        assert contents(history, "user_id=u", limit=100) == last
        assert contents(history, "user_id=v", limit=100) == [f"v{number}" for number in range(7)]
        assert place.sql("SELECT count(*) FROM messages") == [(17,)]

    def test_of_one_long_save_are_kept_to_the_last_ten(self, history: History) -> None:
        save(history, said(*map(str, range(25))), "user_id=u")
        assert contents(history, "user_id=u", limit=100) == [*map(str, range(15, 25))]

    def test_none_at_all_change_nothing(self, history: History) -> None:
        save(history, said("a"), "user_id=u")
        save(history, [], "user_id=u")
        assert contents(history, "user_id=u") == ["a"]

    def test_keep_the_scope_of_their_conversation(self, history: History, place: Place) -> None:
        save(history, said("a"), "agent_id=a%26b%3Dc&user_id=u")
        assert place.sql("SELECT user_id, agent_id, run_id FROM messages") == [("u", "a&b=c", None)]

    @pytest.mark.parametrize(
        "scope",
        [
            {"user_id": "u"},
            {"user_id": "u", "agent_id": "a", "app_id": "b", "run_id": "r"},
            {"user_id": "a&run_id=b%26c", "agent_id": "50%"},
            {"user_id": "小明/é+x"},
        ],
        ids=str,
    )
    def test_their_scope_is_read_back_from_its_key(self, scope: dict[str, str]) -> None:
        assert parse_scope(session_key(scope)) == scope

    def test_forgetting_a_scope_drops_every_conversation_it_spans(self, history: History) -> None:
        scopes = ["user_id=u", "agent_id=a&user_id=u", "agent_id=a", "user_id=v", "run_id=r"]
        for scope in scopes:
            save(history, said("x"), scope)
        delete_scope(history, {"user_id": "u"})
        assert [scope for scope in scopes if contents(history, scope)] == scopes[2:]

    def test_forgetting_two_keys_drops_only_what_has_both(self, history: History) -> None:
        scopes = ["user_id=u", "agent_id=a&user_id=u", "agent_id=a&run_id=r&user_id=u"]
        for scope in scopes:
            save(history, said("x"), scope)
        delete_scope(history, {"user_id": "u", "agent_id": "a"})
        assert [scope for scope in scopes if contents(history, scope)] == ["user_id=u"]


class TestErasing:
    def test_purge_keeps_the_events_and_not_the_texts(self, history: History) -> None:
        add(
            history,
            row(user_id="u", agent_id="a"),
            row(user_id="u", agent_id="a", event="UPDATE", old_memory="tea"),
            row(user_id="u", agent_id="a", event="DELETE", is_deleted=True),
        )
        delete_scope(history, {"user_id": "u"}, purge=True)
        rows = history.get_history("m")
        assert [found["event"] for found in rows] == ["ADD", "UPDATE", "DELETE"]
        assert {found["old_memory"] for found in rows} == {None}
        assert {found["new_memory"] for found in rows} == {None}

    def test_purge_leaves_other_scopes_their_texts(self, history: History) -> None:
        add(
            history,
            row("gone", user_id="u", agent_id="a"),
            row("other agent", user_id="u", agent_id="b"),
            row("other user", user_id="v", agent_id="a"),
            row("no agent", user_id="u"),
        )
        delete_scope(history, {"user_id": "u", "agent_id": "a"}, purge=True)
        texts = {
            memory_id: history.get_history(memory_id)[0]["new_memory"]
            for memory_id in ("gone", "other agent", "other user", "no agent")
        }
        assert texts == {"gone": None, "other agent": "tea", "other user": "tea", "no agent": "tea"}

    def test_reset_leaves_a_history_that_works(self, history: History) -> None:
        delete_scope(history, {})
        add(history, row())
        save(history, said("a"), "user_id=u")
        assert len(history.get_history("m")) == 1
        assert contents(history, "user_id=u") == ["a"]

    def test_everything_is_dropped_by_so_many_rows_at_a_time(self, history: History) -> None:
        add(history, *(row(f"{n}") for n in range(25)))
        more = [history.database.write(lambda c: rows.drop_some(c, 10)) for _ in range(3)]
        assert more == [True, True, False]
        assert history.living() == 0


class TestTrouble:
    def test_eight_threads_lose_no_write(self, history: History) -> None:
        def write(thread: int) -> None:
            for number in range(50):
                add(history, row(f"m{thread}", new_memory=str(number)))

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(write, thread) for thread in range(8)]:
                done.result()
        for thread in range(8):
            texts = [found["new_memory"] for found in history.get_history(f"m{thread}")]
            assert texts == [*map(str, range(50))]
