"""`python -m app.cli.load` with files, folders and addresses of others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pytest

from app.cli import load
from app.errors import StartupError
from tests.servers.qdrant import QdrantServer
from tests.service import Service
from tests.unit.formats.made_by_mem0 import Made, filled
from tests.unit.formats.samples import chatgpt_zip, claude_zip, openmemory_zip, sample


class Loaded(NamedTuple):
    status: int
    report: dict[str, int]
    errors: str


class Loader:
    """The command, in this process: to start another one costs more than what it does."""

    def __init__(self, service: Service, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.service = service
        self._capsys = capsys
        self._folder = folder

    def __call__(self, source: BinaryIO | bytes | str | Path, *options: str) -> Loaded:
        if not isinstance(source, str | Path):
            file = self._folder / "file"
            file.write_bytes(source if isinstance(source, bytes) else source.read())
            source = file
        asked = load._arguments().parse_args([str(source), "--url", self.service.url, *options])
        self._capsys.readouterr()
        status = load._load(asked)
        out, errors = self._capsys.readouterr()
        return Loaded(status, json.loads(out), errors)

    def known(self, **scope: str) -> list[Any]:
        found: list[Any] = self.service.ask("get_all", **scope)["results"]
        return found


@pytest.fixture
def loader(empty_service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Loader:
    return Loader(empty_service, capsys, tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield filled(tmp_path_factory.mktemp("mem0"), monkeypatch)


@pytest.mark.parametrize(
    ("source", "imported", "refused"),
    [
        (openmemory_zip, 2, ["line 3: invalid_request: it is deleted in OpenMemory"]),
        (
            chatgpt_zip,
            6,
            [
                "line 3: invalid_request: nothing was said in this conversation",
                "line 5: invalid_request: it is switched off in ChatGPT",
            ],
        ),
        (
            claude_zip,
            9,
            ["line 3: invalid_request: nothing was said in this conversation"],
        ),
    ],
)
def test_an_archive_gives_what_it_has_once(
    loader: Loader, source: Any, imported: int, refused: list[str]
) -> None:
    first = loader(source(), "--user", "carol")
    assert (first.report["imported"], first.errors.splitlines()) == (imported, refused)
    assert first.status == load.SOME_LINES
    before = loader.known()
    assert len(before) == imported
    again = loader(source(), "--user", "carol")
    assert (again.report["imported"], again.report["unchanged"]) == (
        0,
        first.report["imported"] + first.report["unchanged"],
    )
    assert loader.known() == before


def test_a_rehearsal_of_a_list_stores_nothing(loader: Loader) -> None:
    done = loader(sample("mem0-v3-pages.json"), "--dry-run")
    assert (done.status, done.report["imported"], done.errors) == (0, 3, "")
    assert loader.known() == []


def check(loader: Loader, made: Made) -> None:
    dog, jazz = loader.known(user_id="alice")[0], loader.known(run_id="r1")[0]
    assert (dog["id"], dog["memory"]) == (made.changed, "Has a dog named Max")
    assert dog["metadata"] == {"kind": "pet", "n": 1}
    assert dog["created_at"] < dog["updated_at"]
    assert (jazz["id"], jazz["role"], jazz["expiration_date"]) == (
        made.said,
        "assistant",
        "2030-01-01",
    )
    events = loader.service.ask("history", memory_id=made.changed)["results"]
    assert [(one["event"], one["old_memory"], one["new_memory"]) for one in events] == [
        ("ADD", None, "Has a dog named Rex"),
        ("UPDATE", "Has a dog named Rex", "Has a dog named Max"),
    ]
    assert len(loader.known()) == 2


def test_the_folder_of_mem0_comes_with_its_history(loader: Loader, made: Made) -> None:
    done = loader(made.folder, "--history", str(made.history))
    assert (done.status, done.report["imported"], done.errors) == (0, 2, "")
    check(loader, made)
    assert loader(made.folder, "--history", str(made.history)).report["unchanged"] == 2


def test_the_server_of_mem0_comes_with_its_history(
    loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with QdrantServer() as server:
        made = filled(tmp_path, monkeypatch, server.url)
        options = ("--history", str(made.history), "--collection", "mem0")
        assert loader(server.url, *options).report["imported"] == 2
    check(loader, made)
    gone = loader(server.url)
    assert gone.status == load.STOPPED
    assert "No Qdrant answers" in gone.errors


def test_what_is_of_no_known_format_says_which_there_are(loader: Loader) -> None:
    done = loader(b"name;text\nalice;Likes tea\n")
    assert done.status == load.STOPPED
    assert "--format names lines, chatgpt, claude, openmemory, mem0" in done.errors
    assert load.AGAIN not in done.errors


def test_a_folder_of_something_else_says_what_to_load(loader: Loader, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="as the zip that it came in"):
        loader(tmp_path)


def test_a_format_that_is_named_is_taken_for_it(loader: Loader) -> None:
    assert loader(sample("mem0-export.json"), "--user", "carol").status == load.STOPPED
    done = loader(sample("mem0-export.json"), "--user", "carol", "--format", "mem0")
    assert done.report["imported"] == 6
    wrong = loader(sample("mem0-export.json"), "--format", "openmemory")
    assert "It is no zip" in wrong.errors
