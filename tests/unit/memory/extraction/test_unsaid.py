"""What nobody said of the user is no memory; what was said is."""

import pytest

from app.memory.extraction.unsaid import without_unsaid

TALK = [
    {"role": "user", "content": "I moved to Lisbon. I'm sorry, I can't help you with the boxes."},
    {"role": "assistant", "content": "Sounds lovely! Do you need tips? Alfama has good food."},
]


def kept(text: str, *, of_agent: bool = False, who: str = "user") -> bool:
    facts = [{"text": text, "attributed_to": who}]
    return without_unsaid(facts, TALK, of_agent=of_agent) == facts


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m really sorry, but I am unable to process this request.",
        "I cannot assist with that request",
        "As an AI language model, I have no memories.",
        "抱歉，我无法回答这个问题。",
        "作为一个AI，我没有记忆",
        "申し訳ありませんが、お答えできません。",
        "Lo siento, pero no puedo ayudar con eso.",
        "Désolé, je ne peux pas répondre.",
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "None",
        "No relevant information found in the messages.",
        "Nothing to remember",
        "没有值得记住的内容。",
        "没有新的记忆",
    ],
)
def test_a_refusal_is_left_out(text: str) -> None:
    assert not kept(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Portugal?",
        "Do you need tips?",
        "Is it far? Can I walk?",
        "¿Necesitas consejos?",
        "Kann ich helfen?",
        "你喜欢喝茶吗？",
        "日本に行きますか？",
        "Ты любишь чай?",
    ],
)
def test_a_question_is_left_out(text: str) -> None:
    assert not kept(text)


@pytest.mark.parametrize(
    "text", ["Sounds lovely!", "Alfama has good food", "alfama has GOOD food."]
)
def test_the_assistants_own_words_are_left_out_where_they_are_given_as_the_users(text: str) -> None:
    assert not kept(text)
    assert kept(text, who="assistant")
    assert kept(text, of_agent=True)


@pytest.mark.parametrize(
    "text",
    [
        "Moved to Lisbon",
        "I'm sorry, I can't help you with the boxes.",
        "User is sorry that they can't help with the boxes",
        "Cannot eat gluten",
        "Nothing makes her happier than tea",
        "No facts are as dear to her as numbers of trains",
        "没有孩子",
        "没有可靠的朋友",
        "没有新的工作",
        "I can't eat gluten",
        "Favourite film: Who's Afraid of Virginia Woolf?",
        "Favourite books are Who Moved My Cheese? and Dune",
        "User was recommended Alfama for good food",
        "Has an AI startup",
        "养了一只猫",
        "不能吃辣",
    ],
)
def test_what_was_said_is_kept(text: str) -> None:
    assert kept(text)


def test_an_assistant_that_talks_alone_is_quoted() -> None:
    facts = [{"text": "Alfama has good food"}]
    assert without_unsaid(facts, TALK[1:], of_agent=False) == facts
