"""A write that was answered with a failure may have taken place: what was acknowledged after it
stands all the same, and the history tells both.

Each test lets one write fail after the other, at every point where it can, and goes on with what
it was about at once; then the service settles what it could not know, or is killed before.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from tests.model.looking import listing, mistake, settle
from tests.service import wait_for
from tests.soak.deployment import LASTING, POINTS, Deployment

SYNCS = 5  # of the history, which is as many as a purge needs, and others fewer
BARRED_S = 30  # the longest that a write may be kept waiting by one that failed
CODES = {
    "history_unavailable",
    "vector_store_unavailable",
    "vector_store_timeout",
    "storage_full",
    "service_busy",
}


Arm = Callable[[], Any]


class FailingWrites(Deployment):
    """Fails each time in one more way."""

    failed = 0

    def again(self) -> "FailingWrites":
        """For the next test."""
        self.mend()
        self.failed = 0
        return self

    def failures(self, *, lasting: bool = True) -> Iterator[tuple[int, Arm]]:
        """Each lets one call of the next write fail; the `lasting` ones all from that one on."""
        history = [
            partial(self.disk.fail, "history", "sync", after=nth, times=times)
            for times in ((1, LASTING) if lasting else (1,))
            for nth in range(SYNCS)
        ]
        store = []
        for node in self.nodes:
            carried_out = partial(node.fault, apply_first=True, times=1)
            for answer in ({"delay": 60}, {"drop": True}, {"status": 500}):
                store += [partial(carried_out, POINTS, method="PUT", **answer)]
                store += [partial(carried_out, f"{POINTS}/delete", **answer)]
        yield from enumerate([*history, *store])

    def ask(self, route: str, body: dict[str, Any], failing: Arm, **options: Any) -> bool:
        """Ask while something fails; whether the service noticed."""
        failing()
        response = self.service.post(route, body, **options)
        self.mend()
        if response.is_success:
            return False
        assert response.status_code in (503, 504), response.text
        assert response.json()["code"] in CODES, response.text
        self.failed += 1
        return True

    def insist(self, route: str, body: dict[str, Any], **options: Any) -> httpx.Response:
        """Ask until it is no 503, or 409: who writes after a failure may be kept waiting for it."""

        def answered() -> httpx.Response | None:
            response = self.service.post(route, body, **options)
            return None if response.status_code in (409, 503) else response

        response: httpx.Response = wait_for(answered, BARRED_S)
        assert response.status_code in (200, 201, 404), response.text
        return response

    def end(self, how: str) -> None:
        assert self.failed, "nothing failed: this tests nothing"
        if how == "killed":
            self.kill()
            self.start_again()
        settle(self.service)

    def rows(self, memory_id: str) -> list[dict[str, Any]]:
        response = self.service.post("history", {"memory_id": memory_id})
        rows: list[dict[str, Any]] = response.json()["results"] if response.is_success else []
        return rows


@pytest.fixture(scope="module", params=["embedded", "server"])
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FailingWrites]:
    with FailingWrites.running(tmp_path_factory.mktemp(request.param), request.param) as deployment:
        yield deployment


@pytest.fixture
def deployment(started: FailingWrites) -> FailingWrites:
    return started.again()


ends = pytest.mark.parametrize("end", ["settled", "killed"])


@ends
def test_an_update_of_what_a_failed_add_left_stays(
    deployment: FailingWrites, user: str, end: str
) -> None:
    service = deployment.service
    updated = {}
    for number, failing in deployment.failures():
        text = f"text {number}"
        deployment.ask("add", {"data": text, "user_id": user}, failing)
        there = {memory["memory"]: id_ for id_, memory in listing(service, user_id=user).items()}
        if memory_id := there.get(text):
            changes = {"metadata": {"n": number}} if number % 2 else {"data": f"other {number}"}
            changed = deployment.insist("update", {"memory_id": memory_id, **changes})
            assert changed.status_code == 200, "it was listed, and is gone"
            updated[memory_id] = changed.json()["result"]
    deployment.end(end)

    assert listing(service, user_id=user) == updated
    for memory_id, memory in updated.items():
        rows = deployment.rows(memory_id)
        assert [row["event"] for row in rows] == ["ADD", "UPDATE"]
        assert mistake(rows, memory) is None, rows


@ends
def test_a_failed_add_that_is_sent_again_with_its_key_is_stored_once(
    deployment: FailingWrites, user: str, end: str
) -> None:
    service = deployment.service
    stored = {}
    for number, failing in deployment.failures():
        body = {"data": f"text {number}", "user_id": user}
        key = {"Idempotency-Key": f"{user}-{number}"}
        deployment.ask("add", body, failing, headers=key)
        again = deployment.insist("add", body, headers=key)
        stored[again.json()["result"]] = f"text {number}"
    deployment.end(end)

    found = {id_: memory["memory"] for id_, memory in listing(service, user_id=user).items()}
    assert found == stored
    for id_, text in stored.items():
        assert [row["new_memory"] for row in deployment.rows(id_)] == [text]


@ends
def test_an_update_after_a_failed_one_stays_and_the_history_has_both(
    deployment: FailingWrites, user: str, end: str
) -> None:
    service = deployment.service
    id_ = service.ask("add", data="text", user_id=user)["result"]
    told = ["text"]
    for number, failing in deployment.failures():
        deployment.ask("update", {"memory_id": id_, "data": f"unsure {number}"}, failing)
        seen = service.ask("get", memory_id=id_)["memory"]
        told += [seen] if seen != told[-1] else []
        deployment.insist("update", {"memory_id": id_, "data": f"sure {number}"})
        told.append(f"sure {number}")
    deployment.end(end)

    memory = service.ask("get", memory_id=id_)
    assert memory["memory"] == told[-1]
    rows = deployment.rows(id_)
    assert mistake(rows, memory) is None, rows
    assert [row["new_memory"] for row in rows] == told


@ends
def test_an_add_after_a_failed_reset_stays(deployment: FailingWrites, user: str, end: str) -> None:
    service = deployment.service
    for number, failing in deployment.failures(lasting=end == "settled"):  # not so many starts
        deployment.insist("add", {"data": f"old {number}", "user_id": user})
        if not deployment.ask("reset", {}, failing):
            continue
        text = f"new {number}"
        added = deployment.insist("add", {"data": text, "user_id": user}).json()["result"]
        deployment.end(end)

        assert listing(service, user_id=user)[added]["memory"] == text, f"failure {number}"
        assert [row["new_memory"] for row in deployment.rows(added)] == [text]


@ends
def test_adds_after_a_failed_purge_keep_their_texts_and_their_keys(
    deployment: FailingWrites, user: str, end: str
) -> None:
    service = deployment.service
    answers = {}

    def add(number: int) -> Any:
        body = {"data": f"new {number}", "user_id": f"{user}-{number}"}
        key = {"Idempotency-Key": f"{user}-{number}"}
        return deployment.insist("add", body, headers=key).json()

    for number, failing in deployment.failures():
        mine = {"user_id": f"{user}-{number}"}
        deployment.insist("add", {"data": f"old {number}", **mine})
        deployment.ask("delete_all", {"purge": True, **mine}, failing)
        answers[number] = add(number)
    deployment.end(end)

    for number, answer in answers.items():
        rows = deployment.rows(answer["result"])
        assert [row["new_memory"] for row in rows] == [f"new {number}"], f"failure {number}"
        assert add(number) == answer, f"failure {number}: a repeat stored it again"
        assert answer["result"] in listing(service, user_id=f"{user}-{number}")


@ends
@pytest.mark.parametrize("route", ["delete", "delete_all"])
def test_a_failed_deletion_that_is_asked_for_again_is_told_once(
    deployment: FailingWrites, user: str, end: str, route: str
) -> None:
    service = deployment.service
    ids = []
    for number, failing in deployment.failures():
        mine = {"user_id": f"{user}-{number}"}
        added = deployment.insist("add", {"data": f"text {number}", **mine})
        ids.append(added.json()["result"])
        body = {"memory_id": ids[-1]} if route == "delete" else mine
        deployment.ask(route, body, failing)
        deployment.insist(route, body)
    deployment.end(end)

    for id_ in ids:
        assert service.post("get", {"memory_id": id_}).status_code == 404
        assert [row["event"] for row in deployment.rows(id_)] == ["ADD", "DELETE"]
