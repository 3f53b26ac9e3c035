"""A deletion that also erases the texts, in every file that has them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.service import Service, wait_for


def test_a_purge_says_what_is_left_where(service: Service, user: str) -> None:
    service.ask("add", data="quicksilver", user_id=user)
    answer = service.ask("delete_all", user_id=user, purge=True)
    assert [left["where"] for left in answer["left"]] == ["vector_store"]
    assert "left" not in service.ask("delete_all", user_id=user)


def test_a_purge_waits_for_no_reader_of_the_history_and_erases_when_it_leaves(
    tmp_path: Path,
) -> None:
    with Service(tmp_path / "data", FLUSH_SECONDS="0.1") as service:
        service.ask("add", data="quicksilver", user_id="a")
        log = tmp_path / "data" / "history.db-wal"
        with closing(sqlite3.connect(tmp_path / "data" / "history.db")) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM history").fetchone() == (1,)
            answer = service.ask("delete_all", user_id="a", purge=True)
            service.ask("add", data="others write meanwhile", user_id="b")
        assert [left["where"] for left in answer["left"]] == ["vector_store", "history"]
        files = [tmp_path / "data" / "history.db", log]
        wait_for(lambda: not any(b"quicksilver" in file.read_bytes() for file in files))
