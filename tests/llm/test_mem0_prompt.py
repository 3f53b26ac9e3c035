"""A few of the conversations with mem0's own prompt, for the table.

How much of them a small model finds under a prompt of 8,000 tokens is measured, not asked for.
"""

import pytest

from tests.llm.conftest import CHOSEN_FOR_MEM0
from tests.llm.conversations import Conversation
from tests.llm.main_job import MainJob

MOST_CALLS = 2
MOST_PROMPT_TOKENS = 10_000


@pytest.mark.parametrize("conversation", CHOSEN_FOR_MEM0, ids=lambda one: one.name)
def test_a_conversation_is_answered(mem0: MainJob, conversation: Conversation) -> None:
    outcome = mem0.outcome(conversation)
    assert outcome.usable, outcome.status
    assert 1 <= outcome.calls <= MOST_CALLS
    assert 0 < outcome.prompt_tokens <= outcome.calls * MOST_PROMPT_TOKENS
