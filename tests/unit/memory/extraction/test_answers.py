"""Answers of small models, of reasoning models and of gateways: what is read, and what is not."""

import json

import pytest

from app.memory.extraction.answers import MAX_MEMORY, Unreadable, read

REX = '{"memory": [{"id": "0", "text": "Has a dog named Rex"}]}'
TWO = '{"memory": [{"text": "Likes tea"}, {"text": "Has a dog named Rex"}]}'

READ_AS_REX = {
    "as asked": REX,
    "in a code block": f"```json\n{REX}\n```",
    "in a code block, with words after it": f"```json\n{REX}\n```\nLet me know if it {{helps}}!",
    "words before": f"Sure! Here is the JSON: {REX}",
    "words with braces around": f"The user {{likes}} [dogs]. {REX} That is {{all}}.",
    "texts": '{"memory": ["Has a dog named Rex"]}',
    "facts": '{"facts": ["Has a dog named Rex"]}',
    "memories": '{"memories": [{"memory": "Has a dog named Rex"}]}',
    "a list": '[{"id": "0", "text": "Has a dog named Rex"}]',
    "a list of texts": '["Has a dog named Rex"]',
    "one text": '{"memory": "Has a dog named Rex"}',
    "one object": '{"memory": {"text": "Has a dog named Rex"}}',
    "an item alone": '{"text": "Has a dog named Rex", "attributed_to": null}',
    "another key": '{"memory": [{"id": 0, "fact": "Has a dog named Rex"}]}',
    "content": '{"memory": [{"id": "0", "content": "Has a dog named Rex"}]}',
    "by number": '{"memory": {"0": {"text": "Has a dog named Rex"}}}',
    "a list in a text": '{"memory": "[{\\"text\\": \\"Has a dog named Rex\\"}]"}',
    "beside the messages": '{"memory": [{"role": "user", "content": "hi"}, "Has a dog named Rex"]}',
    "wrapped": f'{{"result": {{"output": {REX}}}}}',
    "JSON in a text": json.dumps(REX),
    "twice": f"{REX}\n{REX}",
    "nothing, then something": f'{{"memory": []}}\n{REX}',
    "a trailing comma": '{"memory": [{"id": "0", "text": "Has a dog named Rex"},]}',
    "texts and a trailing comma": '{"memory": ["Has a dog named Rex",],}',
    "single quotes": "{'memory': [{'id': '0', 'text': 'Has a dog named Rex', 'links': None}]}",
    "no quotes": '{memory: [{text: "Has a dog named Rex"}]}',
    "curly quotes": "{“memory”: [{“text”: “Has a dog named Rex”}]}",
    "a bracket too few": '{"memory": [{"text": "Has a dog named Rex"}]',
    "a bracket too many": REX + "}",
    "a comment": f"{REX} // that is all",
    "thoughts": f"<think>A dog {{named}} Rex.</think>{REX}",
    "thoughts without a beginning": f"The user {{likes}} dogs.\n</think>\n\n{REX}",
    "thoughts with a draft": '<think>{"memory": ["A draft"]}</think>' + REX,
    "all of it among the thoughts": f"<think>It is {REX}</think>",
    "channels": f"<|channel|>analysis<|message|>A dog.<|end|><|channel|>final<|message|>{REX}",
    "thoughts by another name": f'<reflection>{{"memory": ["A draft"]}}</reflection>{REX}',
    "thoughts of Seed": f'<seed:think>{{"memory": ["A draft"]}}</seed:think>{REX}',
    "thoughts of Magistral": f'[THINK]{{"memory": ["A draft"]}}[/THINK]{REX}',
    "thoughts of Kimi": f"◁think▷A dog [Rex].◁/think▷{REX}",
    "what comes after its end": f'{REX}<|eot_id|>assistant\n{{"memory": ["Another"]}}',
    "wide punctuation": '｛"memory"：［{"text"："Has a dog named Rex"}］｝',
    "the call of a tool": '<tool_call>{"name": "extract", "arguments": ' + REX + "}</tool_call>",
    "arguments in a text": json.dumps({"name": "extract", "arguments": REX}),
    "beside a status": f'{{"status": "success", "result": {REX}}}',
    "in the schema": '{"type": "object", "properties": {"memory": ["Has a dog named Rex"]}}',
    "capitals": '{"Memory": [{"Text": "Has a dog named Rex"}]}',
    "Chinese names": '{"记忆": [{"内容": "Has a dog named Rex"}]}',
    "value": '{"memory": [{"id": 0, "value": "Has a dog named Rex"}]}',
    "a text in an object": '{"memory": [{"text": {"content": "Has a dog named Rex"}}]}',
    "lists in a list": '{"memory": [["Has a dog named Rex"]]}',
    "a number to each": '{"memory": [{"0": "Has a dog named Rex"}]}',
    "numbered names": '{"memory": {"fact_1": "Has a dog named Rex"}}',
    "numbered names alone": '{"memory_1": "Has a dog named Rex"}',
    "by what it is about": '{"memory": {"pets": ["Has a dog named Rex"], "home": []}}',
    "beside what stays": '{"memory": [{"text": "Has a dog named Rex", "event": "ADD"}, '
    '{"text": "Likes tea", "event": "NONE"}]}',
    "a raw line break in a text": '{"memory": [{"text": "Has a dog named Rex\\n"}]}\n\n',
    "beside a number": '{"memory": [5, {"text": "Has a dog named Rex"}, {"text": 5}, null]}',
    "beside an empty one": '{"memory": [{"text": " "}, {}, {"text": "Has a dog named Rex"}]}',
    "beside the form": '{"memory": [{"text": "..."}, {"text": "Has a dog named Rex"}]}',
    "beside half a pair": '{"memory": [{"text": "\\ud83e"}, {"text": "Has a dog named Rex"}]}',
    "beside one that is too long": json.dumps(
        {"memory": ["x" * (MAX_MEMORY + 1), "Has a dog named Rex"]}
    ),
}


@pytest.mark.parametrize("answer", READ_AS_REX.values(), ids=READ_AS_REX)
def test_what_can_be_had_without_guessing_is_read(answer: str) -> None:
    facts, whole = read(answer)
    assert [fact["text"] for fact in facts] == ["Has a dog named Rex"]
    assert whole


READ_AS_TWO = {
    "wide punctuation": '{"memory"：[{"text"："Likes tea"}，{"text"："Has a dog named Rex"}]}',
    "as asked": TWO,
    "lines of objects": '{"text": "Likes tea"}\n{"text": "Has a dog named Rex"}',
    "two answers": '{"memory": ["Likes tea"]} and {"memory": ["Has a dog named Rex"]}',
    "a list of answers": '[{"memory": ["Likes tea"]}, {"memory": ["Has a dog named Rex"]}]',
    "a comma too few": '{"memory": [{"text": "Likes tea"} {"text": "Has a dog named Rex"}]}',
    "a broken key between": '{"memory": [{"text": "Likes tea", "x}, {"text": "Has a dog named '
    'Rex"}]}',
}


def test_wide_punctuation_in_a_text_stays() -> None:
    answer = '{"memory"：["说：“好，｛是｝”", "Rex：a dog",]}'
    assert [fact["text"] for fact in read(answer).facts] == ["说：“好，｛是｝”", "Rex：a dog"]


def test_what_looks_like_the_end_of_an_answer_may_stand_in_a_memory() -> None:
    answer = '{"memory": [{"text": "Ends each line with </s>"}, {"text": "Likes tea"}]}'
    facts, whole = read(answer)
    assert [fact["text"] for fact in facts] == ["Ends each line with </s>", "Likes tea"]
    assert whole


@pytest.mark.parametrize("answer", READ_AS_TWO.values(), ids=READ_AS_TWO)
def test_good_items_survive_bad_ones(answer: str) -> None:
    texts = [fact["text"] for fact in read(answer).facts]
    assert {"Likes tea", "Has a dog named Rex"} >= set(texts)
    assert "Has a dog named Rex" in texts


def test_who_it_is_about_is_kept_where_it_is_said() -> None:
    given = [
        {"text": "a", "attributed_to": "assistant", "id": "0"},
        {"text": "b", "attributed_to": 5},
        {"text": "c"},
    ]
    assert read(json.dumps({"memory": given})).facts == [
        {"text": "a", "attributed_to": "assistant"},
        {"text": "b"},
        {"text": "c"},
    ]


@pytest.mark.parametrize(
    "answer",
    [
        *("{}", "[]", '{"memory": []}', '{"memory": null}', '{"memory": ""}', '{"memory": [" "]}'),
        *('{"memory": "None"}', '{"memory": ["N/A."]}', '{"memory": ["无"]}'),
        '{"memory": [{"text": "Likes tea", "event": "DELETE"}]}',
    ],
)
def test_nothing_to_remember_is_an_answer(answer: str) -> None:
    assert read(answer) == ([], True)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no",
        "null",
        "5",
        '"no"',
        "I'm sorry, but I can't help with that.",
        "As in [1] and {2}.",
        '{"memory": {}}',
        '{"memory": [{}]}',
        '{"memory": [5]}',
        '{"memory": [{"text": 5}]}',
        '{"memory": [{"text": "\\ud800"}]}',
        '{"error": "overloaded"}',
        '{"name": "Ana", "city": "Lisbon"}',
        '[{"role": "user", "content": "I like tea"}]',
        "<think>The user has a dog named Rex and",
        '<think>It could be {"memory": ["A draft"]}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"text":' * 900 + "5" + "}" * 900,
        '{"memory":[' * 400 + "5" + "]}" * 400,
    ],
    ids=lambda text: text[:40],
)
def test_what_says_nothing_of_memories_is_unreadable(answer: str) -> None:
    with pytest.raises(Unreadable):
        read(answer)


CUT = {
    "in an object": '{"memory": [{"text": "Likes tea"}, {"text": "Has a dog na',
    "between objects": '{"memory": [{"text": "Likes tea"}, ',
    "after an object": '{"memory": [{"text": "Likes tea"}',
    "in a text of a list": '{"memory": ["Likes tea", "Has a dog na',
    "in a block": '```json\n{"memory": [{"text": "Likes tea"}, {"text": "Has',
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_of_an_answer_that_was_cut_the_whole_items_are_read(answer: str) -> None:
    facts, whole = read(answer, cut=True)
    assert [fact["text"] for fact in facts] == ["Likes tea"]
    assert not whole


def test_a_cut_that_nobody_tells_is_seen() -> None:
    assert read(CUT["in an object"]) == ([{"text": "Likes tea"}], False)


def test_an_answer_that_was_whole_before_it_was_cut_is_whole() -> None:
    assert read(f"{TWO} And now let me explain", cut=True).whole


def test_a_part_without_one_whole_item_is_no_answer_of_nothing() -> None:
    assert read('{"memory": [{"text": "Has a dog na', cut=True) == ([], False)
