"""Memories that leave a service by /export and the command, and come by /import and the other."""

import json
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.memory.transfer.lines import MAX_LINE
from tests.filling import SERVER_IN_SOAK, Place
from tests.metrics import value
from tests.service import ADMIN_KEY, ROOT, Service, wait_for
from tests.transfer import NDJSON, header, memory, raw, whole


@pytest.fixture(scope="module", params=SERVER_IN_SOAK)
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service of each kind, to which everything goes."""
    with ExitStack() as stack:
        place = Place(request.param, tmp_path_factory.mktemp("there") / "data", stack)
        yield place.start(THREADS="16", ADMIN_API_KEY=ADMIN_KEY, METRICS_OPEN="true")


ADMIN = {"X-API-Key": ADMIN_KEY}


def take(service: Service, body: bytes, **options: Any) -> dict[str, Any]:
    response = service.http.post("/import", params=options, content=body, headers=ADMIN | NDJSON)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def export(service: Service, **fields: Any) -> bytes:
    response = service.http.post("/export", json=fields, headers=ADMIN)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/x-ndjson"
    return response.content


def test_what_leaves_and_comes_back_leaves_as_the_same_bytes(
    service: Service, there: Service, user: str
) -> None:
    said = [{"role": "user", "content": "tea", "name": "Al"}, {"role": "user", "content": "milk?"}]
    more = {"metadata": {"n": [1, {"a": None}]}, "expiration_date": "2999-01-01"}
    service.ask("add", messages=said, user_id=user, run_id="r", infer=False, **more)
    memory_id = service.ask("add", data="x", user_id=user, timestamp=0)["result"]
    service.ask("update", memory_id=memory_id, data="y")
    service.ask("delete", memory_id=service.ask("add", data="z", user_id=user)["result"])
    # The stand-in for a Qdrant server gives a vector with another last bit.
    asked = {"user_id": user, "history": "all"}
    for _ in range(2):
        before = service.http.post("/export", json={**asked, "vectors": True}).content
        found = take(there, before)
        assert (found["failed"], found["embedded"], found["whole"]) == ([], 0, True)
    assert (found["imported"], found["unchanged"]) == (0, 4)
    assert export(there, **asked) == service.http.post("/export", json=asked).content
    found = there.post("search", {"query": "milk", "user_id": user}, headers=ADMIN).json()
    assert found["results"][0]["memory"] == "milk?"


def test_hundreds_come_at_once_in_the_order_of_their_dates(there: Service, user: str) -> None:
    assert take(there, whole(memory(n, user) for n in range(450)))["imported"] == 450
    listed = there.post("get_all", {"user_id": user, "limit": 2}, headers=ADMIN).json()
    assert listed["total"] == 450
    assert [one["metadata"]["number"] for one in listed["results"]] == [449, 448]
    rows = there.post("history", {"memory_id": listed["results"][0]["id"]}, headers=ADMIN).json()
    assert [row["event"] for row in rows["results"]] == ["ADD", "UPDATE"]


def test_what_is_listed_can_be_sent_as_it_is(service: Service, there: Service, user: str) -> None:
    service.ask("add", data="tea", user_id=user, metadata={"a": 1})
    [listed] = service.ask("get_all", user_id=user)["results"]
    assert take(there, raw(listed))["imported"] == 1
    [found] = there.post("get_all", {"user_id": user}, headers=ADMIN).json()["results"]
    assert found == listed


def test_what_imports_bring_is_counted(there: Service, user: str) -> None:
    def counted(outcome: str) -> float:
        return value(there, "imported_total", outcome=outcome)

    before = {outcome: counted(outcome) for outcome in ("imported", "unchanged", "failed")}
    line = {"memory": "tea", "user_id": user}
    take(there, raw(line, line, {"memory": ""}))
    take(there, raw({"memory": "milk", "user_id": user}), dry_run="true")
    assert {outcome: counted(outcome) - n for outcome, n in before.items()} == {
        "imported": 1,
        "unchanged": 1,
        "failed": 1,
    }


def test_a_line_that_is_too_long_hides_no_other(there: Service, user: str) -> None:
    found = take(there, b"x" * (MAX_LINE + 1) + b"\n" + raw({"memory": "tea", "user_id": user}))
    assert [(one["line"], one["code"]) for one in found["failed"]] == [(1, "payload_too_large")]
    assert found["imported"] == 1


def test_a_body_in_chunks_is_taken_and_may_be_larger_than_any_other(
    there: Service, user: str
) -> None:
    def pieces() -> Iterator[bytes]:
        yield raw(header())
        for number in range(60):
            yield raw(memory(number, user, metadata={"filling": "x" * 60_000}))

    response = there.http.post("/import", content=pieces(), headers=ADMIN | NDJSON)
    assert response.json()["imported"] == 60


def test_a_body_that_is_cut_off_is_told_so_and_what_came_may_be_sent_again(
    there: Service, user: str
) -> None:
    body = whole(memory(n, user) for n in range(300))
    head = (
        f"POST /import HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", there.port), 30) as client:
        client.sendall(head.encode() + body[: len(body) * 3 // 4])
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"not whole" in answer
    found = take(there, body)
    assert (found["imported"] + found["unchanged"], found["failed"]) == (300, [])
    assert found["unchanged"] >= 200


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ("dry_run=yes", "dry_run"),
        ("on_conflict=overwrite", "on_conflict"),
        ("user_id=alice", "user_id"),
        ("infer=true&infer=false", "infer"),
    ],
)
def test_options_that_are_none_are_refused(there: Service, options: str, field: str) -> None:
    response = there.http.post(f"/import?{options}", content=b"", headers=ADMIN | NDJSON)
    assert response.status_code == 400
    assert [one["field"] for one in response.json()["errors"]] == [field]


def test_a_user_may_have_any_name(there: Service, user: str) -> None:
    body = json.dumps([{"memory": f"tea of {user}"}])
    for name in ("true", "0"):
        response = there.http.post(
            f"/import/mem0?user_id={name}",
            content=body,
            headers=ADMIN | {"Content-Type": "application/json"},
        )
        assert response.json()["imported"] == 1, response.text


def test_an_import_is_of_lines_and_says_so(there: Service) -> None:
    response = there.http.post("/import", json={"memory": "tea"}, headers=ADMIN)
    assert (response.status_code, "application/x-ndjson" in response.text) == (415, True)


def test_an_import_through_the_llm_needs_one(there: Service) -> None:
    response = there.http.post("/import?infer=true", content=b"", headers=ADMIN | NDJSON)
    assert (response.status_code, response.json()["code"]) == (501, "llm_not_configured")


def test_whoever_sends_lines_without_a_key_is_answered_before_they_are_read(
    there: Service,
) -> None:
    response = there.http.post("/import", content=b"nope\n" * 100, headers=NDJSON)
    assert response.status_code == 401


# ---------------------------------------------------------------------- the commands


def run(command: str, *arguments: Any, folder: Path, **options: Any) -> Any:
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", f"app.cli.{command}", *map(str, arguments)],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_a_file_goes_from_one_service_to_another_by_the_commands(
    service: Service, there: Service, user: str, tmp_path: Path
) -> None:
    service.ask("add", data="tea", user_id=user)
    file = tmp_path / "memories.jsonl"
    done = run("export", file, "--url", service.url, "--user", user, "--vectors", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    to = ("--url", there.url, "--key", ADMIN_KEY)
    done = run("load", file, *to, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["imported"] == 1
    file.write_bytes(file.read_bytes()[:-100])
    done = run("load", file, *to, folder=tmp_path)
    assert (done.returncode, "not whole" in done.stderr) == (2, True)
    file.write_bytes(raw({"memory": "tea", "user_id": user}, {"memory": "milk"}))
    done = run("load", "-", *to, "--dry-run", folder=tmp_path, input=file.read_text())
    assert (done.returncode, json.loads(done.stdout)["imported"]) == (1, 1)
    assert done.stderr.startswith("line 2: invalid_request: ")
    assert [*tmp_path.iterdir()] == [file]


def test_a_foreign_file_is_told_by_what_it_says(there: Service, user: str, tmp_path: Path) -> None:
    file = ROOT / "tests/data/imports/mem0-v1-list.json"
    run_id = f"run-{uuid.uuid4()}"
    to = ("--url", there.url, "--key", ADMIN_KEY, "--user", user, "--run", run_id)
    done = run("load", file, *to, folder=tmp_path)
    counts = json.loads(done.stdout)
    assert counts["imported"] + counts["failed"] > 1, done.stderr
    listed = there.post("get_all", {"run_id": run_id}, headers=ADMIN).json()
    assert listed["total"] == counts["imported"]


def test_a_service_that_is_away_is_waited_for(there: Service, user: str, tmp_path: Path) -> None:
    from app.cli.load import _arguments
    from app.cli.loading import Loading

    file = tmp_path / "memories.jsonl"
    file.write_bytes(whole(memory(n, user) for n in range(3)))
    left = ["drop", "busy"]

    def answer(request: httpx.Request) -> httpx.Response:
        match left.pop(0) if left else "":
            case "drop":
                raise httpx.ReadError("gone")
            case "busy":
                return httpx.Response(503, headers={"Retry-After": "1"}, json={})
        return there.http.send(request)

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url=there.url, headers=ADMIN)
    loading = Loading(client, _arguments().parse_args([str(file)]))
    with file.open("rb") as stream:
        loading.load(stream)
    assert (left, loading.report["imported"]) == ([], 3)


def test_the_key_of_a_bound_caller_gives_what_is_its_own(there: Service, user: str) -> None:
    minted = there.http.post("/keys", json={"user_id": user}, headers=ADMIN).json()
    take(there, raw({"memory": "tea", "user_id": user}, {"memory": "milk", "user_id": "other"}))
    answer = there.http.post("/export", headers={"X-API-Key": minted["key"]})
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert [line.get("user_id") for line in lines] == [None, user, None]


def test_only_so_many_imports_are_at_work_at_once(there: Service) -> None:
    head = (
        f"POST /import HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n"
        "Content-Type: application/x-ndjson\r\nContent-Length: 9\r\n\r\n"
    )

    def answer() -> httpx.Response:
        return there.http.post("/import", content=b"", headers=ADMIN | NDJSON)

    with ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", there.port), 30))
            client.sendall(head.encode())
        refused = wait_for(lambda: (got := answer()).status_code == 429 and got, 30)
        assert refused.json()["code"] == "too_many_requests"
        assert refused.headers["Retry-After"] == "1"
    wait_for(lambda: answer().status_code == 200, 30)
