"""Which prompt is chosen, and what stands in it."""

from typing import Any

import jsonschema_rs
import pytest
from mem0.configs.prompts import (
    ADDITIVE_EXTRACTION_PROMPT,
    generate_additive_extraction_prompt,
)

from app.config import Settings
from app.memory.extraction.choice import choose_prompt, is_private
from app.memory.extraction.prompts import MEM0_PROMPT, SHORT, SHORT_PROMPT, Prompt, max_tokens

BY_MEM0 = [
    {"role": "system", "content": ADDITIVE_EXTRACTION_PROMPT},
    {"role": "user", "content": "## New Messages\nuser: hi\n\n# Output:"},
]


def test_the_short_prompt_is_short_and_names_what_it_is_about() -> None:
    assert len(SHORT) <= 1600
    for heading in ("New Messages", "Last k Messages", "Existing Memories", "Observation Date"):
        assert f'"{heading}"' in SHORT
        assert f"## {heading}\n" in generate_additive_extraction_prompt()


def test_the_short_prompt_takes_the_place_of_mem0s_and_nothing_else() -> None:
    system, user = SHORT_PROMPT.messages(BY_MEM0, of_agent=False)
    assert system == {"role": "system", "content": SHORT}
    assert user == BY_MEM0[1]
    assert MEM0_PROMPT.messages(BY_MEM0, of_agent=False) == BY_MEM0


def test_an_agent_is_told_that_the_memories_are_its_own() -> None:
    [system, _] = SHORT_PROMPT.messages(BY_MEM0, of_agent=True)
    assert len(system["content"]) <= 1600
    assert "Agent" in system["content"]


ITEMS: list[tuple[Prompt, dict[str, Any]]] = [
    (SHORT_PROMPT, {"text": "Likes tea", "attributed_to": "user"}),
    (MEM0_PROMPT, {"id": "0", "text": "Likes tea", "attributed_to": "assistant"}),
]


@pytest.mark.parametrize(("prompt", "item"), ITEMS)
def test_the_schema_is_that_of_the_prompt(prompt: Prompt, item: dict[str, Any]) -> None:
    schema = jsonschema_rs.validator_for(dict(prompt.schema(30)))
    assert schema.is_valid({"memory": [item] * 30})
    assert schema.is_valid({"memory": []})
    assert not schema.is_valid({"memory": [item] * 31})
    assert not schema.is_valid({"memory": [{**item, "more": 1}]})
    assert not schema.is_valid({"memory": [{**item, "attributed_to": "nobody"}]})
    told = prompt.messages(BY_MEM0, of_agent=False)[0]["content"]
    assert [name for name in item if f'"{name}": "' not in told] == []


def test_an_answer_may_be_longer_the_more_was_said() -> None:
    assert [max_tokens(messages) for messages in (1, 15, 40)] == [1500, 1500, 4000]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "127.0.0.1", "127.1.2.3", "[::1]", "10.0.0.5", "172.31.0.1", "192.168.1.9"),
        *("[fd00::1]", "[::ffff:192.168.1.9]", "ollama", "llm:8080", "nas.local", "llm.lan"),
        *("host.docker.internal", "llm.svc.internal.", "LLM.Local", "[::]"),
        "0.0.0.0",  # noqa: S104  (asked, not listened on)
    ],
)
def test_a_server_of_ones_own_is_known_by_its_address(host: str) -> None:
    assert is_private(f"http://{host}/v1")


@pytest.mark.parametrize(
    "host",
    [
        *("api.openai.com", "172.32.0.1", "11.0.0.1", "8.8.8.8", "[2001:db8::1]", "169.254.1.1"),
        *("local.example.com", "mylan.example", "10.0.0.5.example.com", "[::ffff:8.8.8.8]"),
    ],
)
def test_a_server_elsewhere_is_not(host: str) -> None:
    assert not is_private(f"https://{host}/v1")


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({"OPENAI_API_KEY": "sk"}, MEM0_PROMPT),
        ({"OLLAMA_BASE_URL": "https://ollama.example.com"}, SHORT_PROMPT),
        ({"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "http://10.0.0.5/v1"}, SHORT_PROMPT),
        ({"OPENAI_API_KEY": "sk", "LLM_BASE_URL": "http://vllm:8000/v1"}, SHORT_PROMPT),
        ({"OPENAI_API_KEY": "sk", "EXTRACTION": "short"}, SHORT_PROMPT),
        ({"OLLAMA_BASE_URL": "http://ollama:11434", "EXTRACTION": "mem0"}, MEM0_PROMPT),
    ],
)
def test_the_prompt_is_the_settings_or_what_fits_the_server(
    settings: dict[str, str], chosen: Prompt
) -> None:
    assert choose_prompt(Settings.from_env(settings)).current is chosen


def test_only_what_was_left_open_changes_where_a_prompt_is_too_long() -> None:
    open_ = choose_prompt(Settings.from_env({"OPENAI_API_KEY": "sk"}))
    assert open_.too_long(MEM0_PROMPT)
    assert open_.current is SHORT_PROMPT
    assert not open_.too_long(SHORT_PROMPT)
    assert open_.too_long(MEM0_PROMPT)  # asked by one that began before the change

    said = choose_prompt(Settings.from_env({"OPENAI_API_KEY": "sk", "EXTRACTION": "mem0"}))
    assert not said.too_long(MEM0_PROMPT)
    assert said.current is MEM0_PROMPT
