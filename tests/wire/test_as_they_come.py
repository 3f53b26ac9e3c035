"""Messages, bodies and times as agents, templates and exports send them."""

import gzip
import json
from typing import Any

import pytest

from tests.servers.openai import OpenAIServer
from tests.service import Service, wait_for


def texts(service: Service, user: str) -> list[str]:
    found = service.ask("get_all", user_id=user)["results"]
    return [memory["memory"] for memory in reversed(found)]


PARTS = [
    {"type": "text", "text": "Look at"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "input_text", "text": "my dog"},
    "Rex",
]
MESSAGES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "parts": ([{"role": "user", "content": PARTS}], ["Look at\nmy dog\nRex"]),
    "a picture alone": (
        [{"role": "user", "content": PARTS[1:2]}, {"role": "user", "content": "Rex"}],
        ["Rex"],
    ),
    "a developer": (
        [{"role": "developer", "content": "Be short"}, {"role": "user", "content": "Rex"}],
        ["Rex"],
    ),
    "LangChain's": (
        [{"type": "human", "content": "Rex"}, {"type": "ai", "data": {"content": "A dog?"}}],
        ["Rex", "A dog?"],
    ),
    "Gemini's": (
        [
            {"role": "user", "parts": [{"text": "Rex"}]},
            {"role": "model", "parts": [{"text": "A dog?"}]},
        ],
        ["Rex", "A dog?"],
    ),
    "Vercel's": (
        [{"role": "user", "id": "1", "content": "", "parts": [{"type": "text", "text": "Rex"}]}],
        ["Rex"],
    ),
    "of the Responses API": (
        [
            {"type": "message", "role": "user", "content": PARTS[2:3]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "output": "18"},
            {"type": "reasoning", "summary": []},
        ],
        ["my dog"],
    ),
    "Anthropic's": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": "18 C"},
                    {"type": "text", "text": "Rex"},
                ],
            }
        ],
        ["Rex"],
    ),
    "ShareGPT's": (
        [{"from": "human", "value": "Rex"}, {"from": "gpt", "value": "Woof"}],
        ["Rex", "Woof"],
    ),
    "roles in capitals": (
        [{"role": "USER", "content": "Rex"}, {"role": "AI", "content": "Hm"}],
        ["Rex", "Hm"],
    ),
    "one part alone": ([{"role": "user", "content": {"type": "text", "text": "Rex"}}], ["Rex"]),
    "a text with annotations": (
        [{"role": "user", "content": [{"type": "text", "text": {"value": "Rex"}}]}],
        ["Rex"],
    ),
    "turns without words": (
        [
            {"role": "user", "content": ""},
            {"role": "user", "content": None},
            {"role": "user", "content": "Rex"},
            {"role": "assistant", "content": ""},
            {"role": "assistant"},
            {"role": "assistant", "content": []},
        ],
        ["Rex"],
    ),
    "results of any form": (
        [
            {"role": "user", "content": "Rex"},
            {"role": "tool", "content": {"a": 1}, "tool_call_id": 7},
            {"role": "function", "name": 5, "content": None},
        ],
        ["Rex"],
    ),
    "fields that say nothing here": (
        [{"role": "user", "content": "Rex", "id": "m1", "created_at": 1712345678, "name": None}],
        ["Rex"],
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_of_messages_what_somebody_said_is_stored(service: Service, user: str, name: str) -> None:
    sent, stored = MESSAGES[name]
    service.ask("add", messages=sent, user_id=user, infer=False)
    assert texts(service, user) == stored


def test_null_means_to_leave_out_where_that_widens_nothing(service: Service, user: str) -> None:
    service.ask("add", data="x", messages=None, user_id=user, timestamp=None, infer=None)
    listed = service.ask("get_all", user_id=user, filters=None, limit=None, cursor=None)
    memory_id = listed["results"][0]["id"]
    service.ask("update", memory_id=memory_id, data=None, metadata={"a": 1})
    nothing = service.post("update", {"memory_id": memory_id, "data": None, "metadata": None})
    assert nothing.status_code == 400
    assert service.post("get_all", {"user_id": None}).status_code == 400
    assert service.post("delete_all", {"user_id": user, "written_by": None}).status_code == 400
    assert service.ask("delete_all", user_id=user, purge=None)["deleted"] == 1


def test_an_update_with_a_null_date_still_takes_it_away(service: Service, user: str) -> None:
    memory_id = service.ask("add", data="x", user_id=user, expiration_date="2999-01-01")["result"]
    changed = service.ask("update", memory_id=memory_id, data=None, expiration_date=None)
    assert "expiration_date" not in changed["result"]


def test_a_number_is_the_id_of_its_digits(service: Service) -> None:
    service.ask("add", data="x", user_id=-1001234567890, run_id=7.0)
    [memory] = service.ask("get_all", user_id="-1001234567890")["results"]
    assert (memory["user_id"], memory["run_id"]) == ("-1001234567890", "7")
    assert service.ask("delete_all", user_id=-1001234567890)["deleted"] == 1
    refused = service.post("get_all", {"user_id": 2**53}).json()["errors"]
    assert refused[0]["message"].endswith('send it as a text, "9007199254740992"')


def test_a_timestamp_is_when_it_was_said_and_the_history_has_when_it_was_written(
    service: Service, user: str
) -> None:
    said = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    results = service.ask(
        "add", messages=said, user_id=user, infer=False, timestamp="2024-04-05T21:34:38+02:00"
    )["results"]
    service.ask("add", data="now", user_id=user, infer=False)
    assert texts(service, user) == ["one", "two", "three", "now"]
    memory = service.ask("get", memory_id=results[1]["id"])
    assert memory["created_at"] == "2024-04-05T19:34:38.000001+00:00"
    assert memory["updated_at"] > "2026"
    [event] = service.ask("history", memory_id=memory["id"])["results"]
    assert event["created_at"] == event["updated_at"] == memory["updated_at"]
    old = {"created_at": {"lt": "2025-01-01T00:00:00Z"}}
    assert service.ask("get_all", user_id=user, filters=old)["total"] == 3


@pytest.mark.parametrize(
    "written",
    [
        1712345678000,
        1712345678000000,
        1712345678000000000,
        "Fri, 05 Apr 2024 19:34:38 GMT",
        "5 Apr 2024 21:34:38 +0200",
        "Fri Apr 05 2024 21:34:38 GMT+0200 (Central European Summer Time)",
        " 2024-04-05 19:34:38 UTC",
        "2024-04-05t19:34:38z",
        "2024-04-05T21:34:38+0200",
    ],
)
def test_a_timestamp_is_read_in_the_usual_forms(service: Service, user: str, written: Any) -> None:
    service.ask("add", data="x", user_id=user, infer=False, timestamp=written)
    [memory] = service.ask("get_all", user_id=user)["results"]
    assert memory["created_at"].startswith("2024-04-05T19:34:38")


def test_an_llm_is_told_the_day_on_which_it_was_said(service_on_openai: Any, user: str) -> None:
    service, server = service_on_openai
    server.reply = '{"memory": [{"text": "Moved to Lyon on 2024-04-04"}]}'
    text = "\n\n## Observation Date\n1999-01-01\n\nI moved to Lyon yesterday"
    service.ask("add", data=text, user_id=user, timestamp=1712345678)
    prompt = server.requests[-2].body["messages"][-1]["content"]
    assert "## Observation Date\n2024-04-05\n" in prompt
    assert "## Observation Date\n1999-01-01" in prompt
    [memory] = service.ask("get_all", user_id=user)["results"]
    assert memory["created_at"].startswith("2024-04-05T19:34:38")


@pytest.fixture(scope="module")
def service_on_openai(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with OpenAIServer(dimensions=64) as server:
        settings = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{server.url}/v1"}
        with Service(tmp_path_factory.mktemp("said") / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield service, server


BODY = '{"user_id": "u", "data": "caf\u00e9 \u82b1\u751f"}'
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "UTF-16 with a mark": (BODY.encode("utf-16"), "in UTF-16: send it in UTF-8"),
    "UTF-16 without one": ('{"a": 1}'.encode("utf-16-le"), "in UTF-16"),
    "GBK": (BODY.replace("\u00e9", "e").encode("gbk"), "seems to be in GBK"),
    "Latin-1": (BODY[:30].encode("latin-1") + b'"}', "line 1, byte 30 of it. It seems to be in L"),
    "a line break": (b'{"data": "a\nb"}', "line 1, column 12 (character 11): a line break"),
    "a quotation mark": (b'{"data": "a "b" c"}', "a quotation mark inside a text has to be"),
    "a backslash": (b'{"data": "C:\\Users"}', "a backslash in a text has to be escaped"),
    "single quotes": (b"{'data': 1}", "column 2 (character 1): names and texts stand in straight"),
    "curly quotes": ("{\u201cdata\u201d: 1}".encode(), "straight double quotation marks"),
    "a comma too many": (b'{"a": [1,]}', "no comma may stand before the end"),
    "a comma at the end": (b'{"a": 1,}', "no comma may stand before the end"),
    "the end is missing": (b'{"a": [1', "it ends too early"),
    "a text without an end": (b'{"a": "b}', "the text that begins here is not closed"),
    "two bodies": (b'{"a": 1} {"a": 1}', "it goes on after its end"),
    "a template": (b'{"data": {{message}}}', "a template may not have been filled in"),
    "a template without a value": (b'{"data": ,"a": 1}', "a template may not have been filled in"),
    "Python's None": (b'{"a": None}', "true, false and null are written so"),
    "a comment": (b'{"a": 1, // one\n"b": 2}', "JSON has no comments"),
    "a slash behind a quotation mark": (b'{"a": "b"/c"}', "a quotation mark inside a text"),
    "a no-break space": ('{"a":\u00a01}'.encode(), "an unseen character stands here, U+00A0"),
    "wide punctuation": ('{"a"：1}'.encode(), "punctuation is that of ASCII"),
    "a list": (b'[{"a": 1}]', "must be a JSON object, and is a list"),
    "JSON in a text": (json.dumps(BODY).encode(), "it was encoded twice"),
    "UTF-32": (BODY.encode("utf-32"), "in UTF-32"),
    "Shift JIS": ('{"a": "\u3053\u3093\u306b\u3061\u306f"}'.encode("cp932"), "to be in Shift JIS"),
    "Big5": ('{"a": "\u7e41\u9ad4\u4e2d\u6587"}'.encode("big5"), "to be in Big5"),
    "Korean": ('{"a": "\uac15\uc544\uc9c0 \uc774\ub984"}'.encode("cp949"), "EUC-KR"),
    "Cyrillic": ('{"a": "\u041f\u0440\u0438\u0432\u0435\u0442"}'.encode("cp1251"), "Windows code"),
    "gzip": (gzip.compress(BODY.encode()), "is compressed: send it as it is"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_body_that_cannot_be_read_says_where_and_why(service: Service, name: str) -> None:
    body, says = UNREADABLE[name]
    headers = {"Content-Type": "application/json"}
    answer = service.http.post("/memory/add", content=body, headers=headers)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert "Users" not in answer.text


def test_a_body_may_begin_with_a_byte_order_mark(service: Service, user: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"data": "x", "user_id": user, "infer": False}).encode()
    headers = {"Content-Type": "application/json"}
    assert service.http.post("/memory/add", content=body, headers=headers).status_code == 201
