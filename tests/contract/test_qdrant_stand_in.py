"""The stand-in for a Qdrant server answers as a real one did.

`data/qdrant-wire.jsonl` has 120 exchanges with a server 1.19.0 of one node, in their order.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.qdrant import QdrantServer

RECORDED = Path(__file__).parent.parent / "data" / "qdrant-wire.jsonl"
KEYS = {"none": {}, "wrong": {"api-key": "neither"}, "read-only": {"api-key": "reader"}}
ENGINES_OWN = {
    *("time", "version", "operation_id", "commit", "segments_count", "optimizer_config"),
    *("wal_config", "on_disk", "on_disk_payload", "write_consistency_factor", "update_queue"),
    "quantization_config",
}
"""What says how the engine is built inside, or how often it was asked."""
CUT_TIE = {"batch"}
"""Where the best one is asked for of several with the same score."""
BOUNDARY = " at line 1 column "
"""What follows is where a parser of Rust stopped."""


def exchanges() -> Iterator[dict[str, Any]]:
    yield from map(json.loads, RECORDED.read_text().splitlines())


def content(body: Any) -> bytes:
    """As it was sent; of a body that is no JSON the recording has the beginning."""
    if not isinstance(body, str):
        return b"" if body is None else json.dumps(body).encode()
    size, text = body.split(" bytes: ")
    return (
        text.encode() if int(size) == len(text) else text.ljust(int(size) - 2, "x").encode() + b'"}'
    )


def agrees(said: Any, recorded: Any) -> bool:
    if isinstance(recorded, dict):
        wanted = recorded.keys() - ENGINES_OWN
        return isinstance(said, dict) and all(
            name in said and agrees(said[name], recorded[name]) for name in wanted
        )
    if isinstance(recorded, list):
        return len(said) == len(recorded) and all(map(agrees, *in_one_order(said, recorded)))
    if isinstance(recorded, float):
        return bool(said == pytest.approx(recorded, rel=1e-6))
    if isinstance(recorded, str) and BOUNDARY in recorded:
        # The words before it tell what Rust expected; the service reads none of them.
        return BOUNDARY in said and said.split(":")[0] == recorded.split(":")[0]
    return bool(said == recorded)


def in_one_order(*lists: list[Any]) -> Iterator[list[Any]]:
    """Points of the same score come in any order: of those only the scores are compared."""
    for found in lists:
        scores = [point.get("score") for point in found if isinstance(point, dict)]
        tied = len({*scores}) < len(scores) and None not in scores
        yield [{"score": score} for score in scores] if tied else found


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    """The addresses of one without keys, and of one with two that has a collection."""
    options = {"version": "1.19.0"}
    keyed = QdrantServer(api_key="writer", read_only_api_key="reader", **options)
    with QdrantServer(**options) as plain, keyed:
        made = httpx.put(
            f"{keyed.url}/collections/c",
            json={"vectors": {"size": 4, "distance": "Cosine"}},
            headers={"api-key": "writer"},
        )
        assert made.status_code == 200
        yield plain.url, keyed.url


def strict_mode(http: httpx.Client, url: str, setting: str) -> None:
    """Switch the one limit on that an exchange is about, and spend what it allows in a minute."""
    name, value = setting.split(",")[0].split(" ")
    limits = {"enabled": True, name: json.loads(value)}
    http.patch(f"{url}/collections/c", json={"strict_mode_config": limits})
    for _ in range(2 if name == "read_rate_limit" else 0):
        http.post(f"{url}/collections/c/points/scroll", json={"limit": 1})
    for _ in range(2 if setting == "write_rate_limit 2" else 0):
        http.post(f"{url}/collections/c/points/delete", json={"points": [77]})


def test_it_answers_as_the_real_server_did(http: httpx.Client, servers: tuple[str, str]) -> None:
    plain, keyed = servers
    others, count = [], 0
    for recorded in exchanges():
        kind, _, which = recorded["name"].partition(": ")
        key = KEYS[kind.removeprefix("key ")] if kind.startswith("key ") else None
        if kind == "strict mode":
            http.patch(f"{plain}/collections/c", json={"strict_mode_config": unlimited()})
            strict_mode(http, plain, which)
        method, path = recorded["request"].split(" ")
        answer = http.request(
            method,
            f"{plain if key is None else keyed}{path}",
            content=content(recorded["body"]),
            headers={"Content-Type": "application/json", **(key or {})},
        )
        wanted = recorded["answer"]
        said = answer.text if isinstance(wanted, str) else answer.json()
        told = {name: answer.headers.get(name) for name in recorded["headers"]}
        count += 1
        if answer.status_code != recorded["status"] or told != recorded["headers"]:
            others.append((recorded["name"], answer.status_code, recorded["status"], said))
        elif recorded["name"] not in CUT_TIE and not agrees(said, wanted):
            others.append((recorded["name"], said, wanted))
    assert (count, others) == (120, [])


def unlimited() -> dict[str, None]:
    """Every limit that an exchange switches on, off."""
    names = [one["name"].partition("strict mode: ")[2].split(" ")[0] for one in exchanges()]
    return dict.fromkeys(filter(None, names))
