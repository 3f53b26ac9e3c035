"""A stand-in that answers as the rules of a case say, and else as OpenAI's API does.

tests/cases/README.md has the form of a rule.
"""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.servers.base import Answer, Request, embed
from tests.servers.openai import OpenAIServer, as_texts

DIMENSIONS = 64
REPLY = json.dumps({"memory": [{"id": "0", "text": "Has a dog named Rex"}]})
MISSING = object()

Rule = dict[str, Any]


class RuleServer(OpenAIServer):
    """The usual answers are given at any address that ends as one of OpenAI's does."""

    def __init__(self, port: int = 0, **options: Any) -> None:
        super().__init__(port, dimensions=DIMENSIONS, **options)
        self.reply = REPLY
        self._rules: list[Rule] = []
        self._taking = threading.Lock()

    def follow(self, rules: list[Rule]) -> None:
        """From now on, in the place of what was followed before."""
        with self._taking:
            self._rules = [dict(rule) for rule in rules]
        self.requests.clear()

    def asked(self, end: str) -> list[Request]:
        return [request for request in [*self.requests] if request.path.endswith(end)]

    def answer(self, request: Request) -> Answer:
        rule = self._take(request)
        return self._usual(request) if rule is None else self._said(rule["answer"], request)

    def _take(self, request: Request) -> Rule | None:
        with self._taking:
            for rule in self._rules:
                if rule.get("times") != 0 and _fits(rule, request):
                    if "times" in rule:
                        rule["times"] -= 1
                    return rule
        return None

    def _said(self, said: dict[str, Any], request: Request) -> Answer:
        if "drip" in said:
            usual = self._usual(request)
            return Answer(usual.status, _drip(said["drip"], usual), usual.headers)
        if "content" in said or "message" in said:
            message = said.get("message") or {"content": said["content"]}
            return self._spoken(message, said.get("finish_reason", "stop"), request)
        if "embeddings" in said:
            return _embedded(as_texts(request.body["input"]))
        headers = dict(said.get("headers", {}))
        if "type" in said:
            headers["Content-Type"] = said["type"]
        return Answer.of(said.get("body"), said.get("status", 200), headers)

    def _usual(self, request: Request) -> Answer:
        for end in ("/chat/completions", "/embeddings", "/models"):
            if request.path.endswith(end):
                request.path, path = f"/v1{end}", request.path
                try:
                    return super().answer(request)
                finally:
                    request.path = path
        return self.error(404)

    def _spoken(self, message: dict[str, Any], reason: str, request: Request) -> Answer:
        answer = json.loads(_whole(self._usual(request)))
        choice = {**answer["choices"][0], "finish_reason": reason}
        choice["message"] = {"role": "assistant", **message}
        return Answer.of({**answer, "choices": [choice]})


def _fits(rule: Rule, request: Request) -> bool:
    if not request.path.endswith(rule["path"]):
        return False
    wanted = rule.get("if", {})
    body = request.body if isinstance(request.body, dict) else {}
    given = {**body, "header": request.headers}
    texts = as_texts(body.get("input"))
    checks = [
        *(_at(given, path) == value for path, value in wanted.get("is", {}).items()),
        *(_at(given, path) != value for path, value in wanted.get("not", {}).items()),
        *(_at(given, path) is not MISSING for path in wanted.get("has", ())),
        len(texts) > wanted.get("texts_over", -1),
        max(map(len, texts), default=0) > wanted.get("chars_over", -1),
    ]
    return all(checks)


def _at(given: Any, path: str) -> Any:
    for name in path.split("."):
        given = given.get(name, MISSING) if isinstance(given, dict) else MISSING
    return given


def _embedded(texts: list[str]) -> Answer:
    """As Gemini's endpoint, which leaves out a number that is zero."""
    data = [{"object": "embedding", "embedding": embed(text, DIMENSIONS)} for text in texts]
    for index, one in enumerate(data):
        if index:
            one["index"] = index
    return Answer.of({"object": "list", "data": data, "model": "m"})


def _drip(drip: dict[str, Any], usual: Answer) -> Iterator[bytes]:
    for _ in range(drip["times"]):
        yield drip["with"].replace("\\n", "\n").encode()
        time.sleep(drip["every"])
    yield _whole(usual)


def _whole(answer: Answer) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body
