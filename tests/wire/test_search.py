"""Search finds things: over HTTP, on the local embedder and the embedded engine."""

import random
import uuid
from typing import Any

import pytest

from tests.service import Service

OTHER_THINGS = [
    "My cat is called Minka",
    "The rent is due on the first of the month",
    "I work as an accountant in Lyon",
    "My sister plays the violin in an orchestra",
    "I take my coffee without sugar",
]
PEANUTS = "The user is allergic to peanuts"
SHELF = "The user guide is on the second shelf"
TEA = "我喜欢在周末去爬山，也喜欢喝龙井茶"


def remember(service: Service, user: str, *texts: str) -> None:
    said = [{"role": "user", "content": text} for text in texts]
    service.ask("add", messages=said, user_id=user)


def texts(service: Service, query: str, **fields: Any) -> list[str]:
    found = service.ask("search", query=query, **fields)["results"]
    return [memory["memory"] for memory in found]


def test_finds_by_meaning_without_a_shared_word(service: Service, user: str) -> None:
    remember(service, user, *OTHER_THINGS, "I love hiking in the mountains")
    assert texts(service, "outdoor hobbies", user_id=user)[0] == "I love hiking in the mountains"


def test_a_stray_common_word_does_not_win(service: Service, user: str) -> None:
    remember(service, user, *OTHER_THINGS, SHELF, PEANUTS)
    query = "what food should be avoided for a user with allergies"
    assert texts(service, query, user_id=user)[0] == PEANUTS


def test_finds_chinese_words_inside_a_sentence(service: Service, user: str) -> None:
    others = ["我住在杭州的西湖边", "我的猫叫小白", "我每天早上喝咖啡", "我在银行工作"]
    remember(service, user, *others, TEA)
    assert texts(service, "龙井茶", user_id=user)[0] == TEA


def test_finds_an_exact_rare_word_among_500_others(service: Service, user: str) -> None:
    words = random.Random(7)
    others = [
        f"The invoice {words.choice(['was sent', 'is late', 'is paid'])} INV-{20000 + n}"
        for n in range(500)
        if n != 417
    ]
    remember(service, user, *others[:250], "Paid invoice INV-20417 in March")
    remember(service, user, *others[250:])
    found = texts(service, "invoice INV-20417", user_id=user)
    assert found[0] == "Paid invoice INV-20417 in March"


def test_never_shows_another_users_memory(service: Service, user: str) -> None:
    remember(service, user, "I love hiking in the mountains")
    remember(service, f"{user}-other", *["I love hiking in the mountains"] * 20)
    found = service.ask("search", query="hiking in the mountains", user_id=user, limit=1000)
    assert {memory["user_id"] for memory in found["results"]} == {user}


def test_without_a_scope_spans_all_users(service: Service, user: str) -> None:
    word = f"zebra{uuid.uuid4().hex}"
    remember(service, user, f"the first {word}")
    remember(service, f"{user}-other", f"the second {word}")
    assert set(texts(service, word)[:2]) == {f"the first {word}", f"the second {word}"}


def test_finds_chinese_by_meaning_without_a_shared_word(service: Service, user: str) -> None:
    others = ["我住在杭州的西湖边", "我的猫叫小白", "我在银行工作"]
    remember(service, user, *others, "我周末常去登山远足")
    assert texts(service, "户外爱好", user_id=user)[0] == "我周末常去登山远足"


def test_finds_a_memory_in_another_language_than_the_question(service: Service, user: str) -> None:
    remember(service, user, *OTHER_THINGS, PEANUTS)
    assert texts(service, "他对什么食物过敏？", user_id=user)[0] == PEANUTS


class TestConversations:
    SAID = ("What should I bring?", "Just the green tent", "And there is a bus at noon")

    def told(self, service: Service, **scope: str) -> dict[str, dict[str, Any]]:
        asked = {"query": "What should I bring?", "explain": True, **scope}
        found = service.ask("search", **asked)["results"]
        return {memory["memory"]: memory for memory in found}

    def test_an_answer_profits_from_its_question(self, service: Service, user: str) -> None:
        for text in self.SAID:
            service.ask("add", data=text, user_id=user)
        found = self.told(service, user_id=user)
        question, answer, bus = (found[text] for text in self.SAID)
        own = question["similarity"] + question["keyword"]
        share = 0.2 * (bus["similarity"] + bus["keyword"])
        assert answer["neighbours"] == pytest.approx(0.5 * own + share)
        assert [question["question"], answer["question"]] == [True, False]

    def test_messages_of_a_run_are_in_order_and_others_are_not(
        self, service: Service, user: str
    ) -> None:
        said = [{"role": "user", "content": text} for text in self.SAID]
        service.ask("add", messages=said, user_id=user, run_id="trip")
        found = self.told(service, user_id=user, run_id="trip")
        assert all(found[text]["neighbours"] > 0 for text in self.SAID)
        service.ask("add", messages=said, user_id=f"{user}-2")
        found = self.told(service, user_id=f"{user}-2")
        assert all(found[text]["neighbours"] == 0 for text in self.SAID)

    def test_a_change_keeps_the_place_and_tells_anew_what_is_a_question(
        self, service: Service, user: str
    ) -> None:
        first, *_ = [service.ask("add", data=text, user_id=user)["result"] for text in self.SAID]
        service.ask("update", memory_id=first, data="I bring the stove", metadata={"a": 1})
        found = self.told(service, user_id=user)
        assert found["I bring the stove"]["question"] is False
        assert found["I bring the stove"]["neighbours"] > 0
        assert found["I bring the stove"]["metadata"] == {"a": 1}

    @pytest.mark.parametrize("key", ["_place", "_asks", "_revision"])
    def test_metadata_cannot_say_so(self, service: Service, user: str, key: str) -> None:
        response = service.post("add", {"data": "tea", "user_id": user, "metadata": {key: 1}})
        assert response.status_code == 400


class TestTime:
    def test_since_is_inclusive_and_until_exclusive(self, service: Service, user: str) -> None:
        for text in ("green tea", "black tea", "white tea"):
            service.ask("add", data=text, user_id=user)
        listed = service.ask("get_all", user_id=user)["results"]
        at = {memory["memory"]: memory["created_at"] for memory in listed}
        since = {"since": at["black tea"]}
        until = {"until": at["white tea"]}
        for route, more in (("search", {"query": "tea"}), ("get_all", {})):

            def found(route: str = route, more: Any = more, **bounds: str) -> set[str]:
                results = service.ask(route, user_id=user, **more, **bounds)["results"]
                return {memory["memory"] for memory in results}

            assert found(**since) == {"black tea", "white tea"}
            assert found(**until) == {"green tea", "black tea"}
            assert found(**since, **until) == {"black tea"}

    @pytest.mark.parametrize("time", ["yesterday", "2026-11-24", "2026-11-24T00:00:00", 5])
    def test_anything_but_a_time_with_its_zone_is_refused(
        self, service: Service, time: Any
    ) -> None:
        response = service.post("search", {"query": "tea", "since": time})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "since")


class TestScores:
    @pytest.fixture
    def remembered(self, service: Service, user: str) -> str:
        remember(service, user, *OTHER_THINGS, "I love hiking in the mountains")
        return user

    def test_are_between_0_and_1_best_first(self, service: Service, remembered: str) -> None:
        query = "I love hiking in the mountains"
        scores = [
            memory["score"]
            for memory in service.ask("search", query=query, user_id=remembered)["results"]
        ]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert scores[0] == pytest.approx(1)

    def test_are_explained_on_request(self, service: Service, remembered: str) -> None:
        found = service.ask("search", query="hiking", user_id=remembered, explain=True)["results"]
        assert found[0]["keyword"] == 1
        for memory in found:
            total = memory["similarity"] + memory["keyword"] + memory["neighbours"]
            assert memory["score"] == pytest.approx(min(1, total * (1 - 0.2 * memory["question"])))

    def test_below_the_threshold_are_left_out(self, service: Service, remembered: str) -> None:
        everything = service.ask("search", query="hiking", user_id=remembered)["results"]
        threshold = everything[1]["score"]
        found = service.ask("search", query="hiking", user_id=remembered, threshold=threshold)
        assert found["results"] == everything[:2]

    def test_auto_leaves_an_answer_empty_where_nothing_is_meant(
        self, service: Service, remembered: str
    ) -> None:
        def found(query: str) -> list[str]:
            return texts(service, query, user_id=remembered, threshold="auto")

        assert found("outdoor hobbies")[0] == "I love hiking in the mountains"
        assert found("Wie heißt meine Katze?")[0] == "My cat is called Minka"
        assert found("quarterly earnings of the steel industry") == []

    @pytest.mark.parametrize("threshold", ["high", True, 1.5])
    def test_a_threshold_that_is_none_is_refused(self, service: Service, threshold: Any) -> None:
        response = service.post("search", {"query": "tea", "threshold": threshold})
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == "threshold"

    @pytest.mark.parametrize("name", ["limit", "top_k"])
    def test_stop_at_the_limit(self, service: Service, remembered: str, name: str) -> None:
        assert len(texts(service, "hiking", user_id=remembered, **{name: 2})) == 2


@pytest.mark.parametrize("query", ["the of and", "?!", "\x00a", "🏔️", "x" * 100_000])
def test_any_query_is_answered(service: Service, user: str, query: str) -> None:
    remember(service, user, "I love hiking in the mountains")
    assert len(texts(service, query, user_id=user)) == 1
