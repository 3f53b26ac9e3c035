"""What a stored payload is to callers."""

from typing import Any

import pytest

from app.storage.payloads import new_payload, scope_of, to_memory


@pytest.mark.parametrize("value", [5, True, ["shop"], {"a": 1}, None, ""], ids=str)
def test_an_app_id_that_earlier_metadata_had_and_that_is_no_text_stays_metadata(value: Any) -> None:
    payload = {**new_payload("tea", {"user_id": "alice"}, {"kind": "drink"}), "app_id": value}
    memory = to_memory("an id", payload)
    assert "app_id" not in memory
    assert memory["metadata"] == {"kind": "drink", "app_id": value}
    assert scope_of(payload) == {"user_id": "alice"}


def test_an_app_id_that_is_a_text_is_the_apps() -> None:
    payload = new_payload("tea", {"user_id": "alice", "app_id": "shop"}, {})
    memory = to_memory("an id", payload)
    assert (memory["app_id"], memory["metadata"]) == ("shop", {})
    assert scope_of(payload) == {"user_id": "alice", "app_id": "shop"}
