"""Claude's data export."""

import json

from app.memory.transfer.formats.statements import statements
from app.memory.transfer.records import ImportedConversation, ImportedMemory, ImportedMessage
from tests.unit.formats.samples import (
    claude_zip,
    conversations,
    memories,
    owned,
    read,
    refused,
    sample,
)


def test_what_was_shown_of_a_conversation_is_said_and_nothing_else() -> None:
    first, second, empty = read("claude", sample("claude-conversations.json"))
    assert first == ImportedConversation(
        line=1,
        id="c0000000-0000-4000-8000-000000000001",
        title="Quarterly report",
        scope={"run_id": "c0000000-0000-4000-8000-000000000001"},
        timestamp="2026-09-21T14:00:00.000000+00:00",
        messages=[
            ImportedMessage(
                "user", "I lead the brand team", time="2026-09-21T14:00:10.000000+00:00"
            ),
            ImportedMessage(
                "assistant",
                "Here is an outline.\nAnd a source.",
                time="2026-09-21T14:00:31.123456+00:00",
            ),
        ],
    )
    assert isinstance(second, ImportedConversation)
    assert [one.content for one in second.messages] == ["My favourite colour is teal", "Noted."]
    assert empty == (3, "nothing was said in this conversation")


def test_each_statement_of_its_memories_is_one() -> None:
    items = read("claude", sample("claude-memories.json"))
    assert [(one.memory, one.metadata) for one in memories(items)] == [
        (
            "Avery leads the brand team at Northwind Labs.",
            {"source": "claude", "section": "Work context"},
        ),
        ("Has two cats", {"source": "claude", "section": "Personal context"}),
        ("Runs marathons", {"source": "claude", "section": "Personal context"}),
        (
            "The launch is in May.",
            {"source": "claude", "project": "b0000000-0000-4000-8000-000000000001"},
        ),
        (
            "[stated] Works with [[profile]] on launches",
            {"source": "claude", "file": "/people/jordan.md"},
        ),
    ]
    assert memories(items)[4].created_at == "2026-09-20T08:00:00.000000+00:00"


def test_a_zip_gives_its_conversations_and_memories_with_the_same_ids_each_time() -> None:
    once, again = (owned("claude", read("claude", claude_zip())) for _ in "12")
    assert once == again
    assert (len(conversations(once)), len(memories(once)), len(refused(once))) == (2, 5, 1)
    assert all(isinstance(one, ImportedMemory) and one.id for one in memories(once))


def test_a_branch_that_leads_in_a_circle_comes_to_an_end() -> None:
    turn = {"sender": "human", "text": "Hi", "parent_message_uuid": "a", "uuid": "a"}
    source = json.dumps([{"chat_messages": [turn, None, 5]}]).encode()
    (one,) = conversations(read("claude", source))
    assert [message.content for message in one.messages] == ["Hi"]


def test_account_without_memories_says_so() -> None:
    source = b'[{"conversations_memory": "", "project_memories": null, "memory_files": [1]}, {}]'
    assert [one.reason for one in refused(read("claude", source))] == [
        "it has no memories",
        "it is no conversation of Claude",
    ]


def test_statements_are_bullets_and_paragraphs_under_their_heading() -> None:
    text = "# Work\r\nLeads\r\na team\n\n* one\n2. two\n  more of two\n---\n**Home:**\nA cat"
    assert list(statements(text)) == [
        ("Leads a team", "Work"),
        ("one", "Work"),
        ("two more of two", "Work"),
        ("A cat", "Home"),
    ]
