"""How often the LLM is asked, with what, and what becomes of its answers."""

import json
from collections.abc import Callable

import pytest

from app.errors import (
    ContextTooSmall,
    ProviderAnswerCut,
    ProviderBadAnswer,
    ProviderUnavailable,
    ServiceError,
)
from app.memory.extraction.choice import PromptChoice
from app.memory.extraction.finder import Conversation, FactFinder
from app.memory.extraction.language import ANY, LINES
from app.memory.extraction.prompts import MEM0_PROMPT, SHORT, SHORT_PROMPT, Prompt
from app.providers.chat import THINKING_TOKENS, ChatAnswer, ChatRequest

BY_MEM0 = [
    {"role": "system", "content": "mem0's own prompt"},
    {"role": "user", "content": "## New Messages\nuser: tea\n\n# Output:"},
]
ABOUT = Conversation([{"role": "user", "content": "I like tea"}])

Answer = str | ChatAnswer | ServiceError


def facts(*texts: str) -> str:
    return json.dumps({"memory": [{"text": text} for text in texts]})


def cut(text: str) -> ChatAnswer:
    return ChatAnswer(text, cut=True)


class Model:
    """Gives its answers in turn, and keeps what it was asked."""

    name = "test/model"

    def __init__(self, *answers: Answer | Callable[[ChatRequest], Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[ChatRequest] = []
        self.left: list[float] = []

    def __call__(self, asked: ChatRequest, seconds: float) -> ChatAnswer:
        self.asked.append(asked)
        self.left.append(seconds)
        answer = self.answers.pop(0)
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, ServiceError):
            raise answer
        return ChatAnswer(answer) if isinstance(answer, str) else answer

    def user_part(self, number: int) -> str:
        return self.asked[number].messages[-1]["content"]


def find(
    model: Model, about: Conversation = ABOUT, prompts: PromptChoice | None = None
) -> list[str]:
    finder = FactFinder(model, 5, prompts or PromptChoice(SHORT_PROMPT))
    return [fact["text"] for fact in finder.find(BY_MEM0, about)]


def test_it_asks_once_with_its_own_prompt_and_the_language_at_the_end() -> None:
    model = Model(facts("Likes tea"))
    assert find(model, Conversation([{"role": "user", "content": "我喜欢喝茶"}])) == ["Likes tea"]
    [asked] = model.asked
    assert asked.messages[0] == {"role": "system", "content": SHORT}
    assert model.user_part(0) == f"{BY_MEM0[1]['content']}\n\n{LINES['CJK']}"
    assert asked.max_tokens == 1500
    assert asked.schema == SHORT_PROMPT.schema(1)


def test_the_more_was_said_the_more_may_be_answered() -> None:
    model = Model(facts())
    find(model, Conversation([*ABOUT.messages] * 40))
    assert model.asked[0].max_tokens == 4000


def test_custom_instructions_come_before_the_language() -> None:
    model = Model(facts())
    FactFinder(model, 5, PromptChoice(SHORT_PROMPT), instructed=True).find(BY_MEM0, ABOUT)
    assert model.user_part(0).endswith(f"{ANY} (Custom Instructions come first.)")


def test_an_answer_that_cannot_be_used_is_asked_for_again_with_what_is_wrong() -> None:
    model = Model('{"name": "Ana"}', facts("Likes tea"))
    assert find(model) == ["Likes tea"]
    assert "could not be used: there is no list under memory" in model.user_part(1)
    assert model.user_part(1).startswith(model.user_part(0))
    assert model.left[1] <= model.left[0] <= 5


def test_an_answer_that_stays_unusable_is_a_bad_answer() -> None:
    with pytest.raises(ProviderBadAnswer) as raised:
        find(Model("no", "no"))
    assert raised.value.code == "provider_bad_answer"


def test_it_is_not_asked_again_when_the_time_is_up() -> None:
    model = Model("no")
    with pytest.raises(ProviderBadAnswer):
        FactFinder(model, 0, PromptChoice(SHORT_PROMPT)).find(BY_MEM0, ABOUT)
    assert len(model.asked) == 1


def test_of_a_cut_answer_the_whole_items_are_kept_and_it_is_asked_once_more() -> None:
    model = Model(cut('{"memory": [{"text": "Likes tea"}, {"te'), facts("Likes tea", "Has a dog"))
    assert find(model) == ["Likes tea", "Has a dog"]
    assert "cut off" in model.user_part(1)


@pytest.mark.parametrize("second", [cut('{"memory": ["Likes t'), ProviderUnavailable(""), "no"])
def test_what_was_read_of_a_cut_answer_is_kept_where_no_more_comes(second: Answer) -> None:
    assert find(Model(cut('{"memory": [{"text": "Likes tea"}, {"te'), second)) == ["Likes tea"]


@pytest.mark.parametrize("answer", ['{"memory": [{"text": "Lik', "The user says that", ""])
def test_an_answer_without_an_end_is_a_failure_of_its_own(answer: str) -> None:
    model = Model(cut(answer), cut(answer))
    with pytest.raises(ProviderAnswerCut) as raised:
        find(model)
    assert raised.value.code == "provider_answer_cut"
    assert len(model.asked) == 2


def test_a_model_that_was_cut_while_it_thought_may_think_for_longer_from_then_on() -> None:
    model = Model(cut("<think>Well, the user"), facts("Likes tea"), facts())
    finder = FactFinder(model, 5, PromptChoice(SHORT_PROMPT))
    finder.find(BY_MEM0, ABOUT)
    finder.find(BY_MEM0, ABOUT)
    assert [asked.max_tokens for asked in model.asked] == [1500, THINKING_TOKENS, THINKING_TOKENS]


def test_a_prompt_that_is_too_long_makes_way_for_the_short_one_from_then_on() -> None:
    model = Model(ContextTooSmall("too small"), facts("Likes tea"), facts("Likes tea"))
    prompts = PromptChoice(MEM0_PROMPT, may_change=True)
    assert find(model, prompts=prompts) == ["Likes tea"]
    assert find(model, prompts=prompts) == ["Likes tea"]
    told = [asked.messages[0]["content"] for asked in model.asked]
    assert told == ["mem0's own prompt", SHORT, SHORT]
    assert model.asked[0].schema != model.asked[1].schema


@pytest.mark.parametrize("prompt", [MEM0_PROMPT, SHORT_PROMPT])
def test_a_context_that_is_too_small_is_told_where_nothing_can_be_done(prompt: Prompt) -> None:
    model = Model(ContextTooSmall("too small"))
    with pytest.raises(ContextTooSmall):
        find(model, prompts=PromptChoice(prompt, may_change=prompt is SHORT_PROMPT))
    assert len(model.asked) == 1


def test_what_nobody_said_is_no_memory() -> None:
    assert find(Model(facts("Likes tea", "Do you like tea?", "As an AI, I cannot say"))) == [
        "Likes tea"
    ]


def test_a_failure_of_the_model_is_raised_as_it_is() -> None:
    with pytest.raises(ProviderUnavailable):
        find(Model(ProviderUnavailable("")))
