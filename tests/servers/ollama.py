"""A stand-in for Ollama: chat, embed, the list of models, pull with its stream."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.servers.base import (
    Answer,
    Json,
    ModelServer,
    Request,
    count_tokens,
    embed,
    ndjson,
    run,
    text_of,
)

VERSION = "0.12.6"
MODEL_BYTES = 274_290_656
PULL_STEPS = 10
CONTEXT = 4096  # of a chat that asks for none, on a machine with little memory
NOTHING = '{"memory": []}'


class OllamaServer(ModelServer):
    """Ollama's API. A model must be in `models`, with its tag, or be pulled.

    `pull_seconds` is how long a pull takes, `pull_error` what it ends with instead of success.
    `max_tokens` is the context of the embedders; longer inputs are cut, as Ollama does, unless the
    request says `"truncate": false`. A chat has the context that it asks for (`num_ctx`); of a
    longer prompt the last half of a context is left, for which a model has no task any more. Both
    `"truncate": false` and `"shift": false` make that an error, unless it `cuts_anyway` as
    versions before 0.12 do. `thinks` says whether the model knows the parameter `think`.
    """

    def __init__(self, port: int = 0, *, dimensions: int = 768, **options: Any) -> None:
        super().__init__(port, **options)
        self.dimensions = dimensions
        self.models = {"llama3.2:latest", "nomic-embed-text:latest"}
        self.pull_seconds = 0.0
        self.pull_error: str | None = None
        self.max_tokens: int | None = None
        self.cuts_anyway = False
        self.thinks = True

    def answer(self, request: Request) -> Answer:
        plain = {
            ("GET", "/"): Answer.of("Ollama is running"),
            ("HEAD", "/"): Answer.of("Ollama is running"),
            ("GET", "/api/version"): Answer.of({"version": VERSION}),
        }
        routes = {
            ("GET", "/api/tags"): self._tags,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/pull"): self._pull,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/embed"): self._embed,
            ("POST", "/api/embeddings"): self._embeddings,
        }
        key = (request.method, request.path)
        if key in plain:
            return plain[key]
        if key not in routes:
            return Answer.of("404 page not found", 404)
        if request.method == "POST" and not isinstance(request.body, dict):
            return self.error(400, "invalid JSON" if request.malformed else "missing request body")
        return routes[key](request.body or {})

    def error(self, status: int, message: str | None = None) -> Answer:
        texts = {401: "unauthorized", 429: "too many requests", 503: "server busy"}
        return Answer.of({"error": message or texts.get(status, "internal server error")}, status)

    # ------------------------------------------------------------------ models

    def _has(self, body: dict[str, Any]) -> bool:
        return tagged(model_of(body)) in {tagged(name) for name in set(self.models)}

    def _tags(self, _body: dict[str, Any]) -> Answer:
        return Answer.of({"models": [describe(tagged(name)) for name in sorted(self.models)]})

    def _show(self, body: dict[str, Any]) -> Answer:
        if not self._has(body):
            return self.error(404, f"model '{model_of(body)}' not found")
        entry = describe(tagged(model_of(body)))
        return Answer.of(
            {
                "modelfile": f"FROM {entry['name']}",
                "template": "{{ .Prompt }}",
                "details": entry["details"],
                "model_info": {
                    "general.architecture": "stub",
                    "stub.embedding_length": self.dimensions,
                    "stub.context_length": self.max_tokens or 2048,
                },
                "capabilities": ["completion", "embedding"],
                "modified_at": entry["modified_at"],
            }
        )

    def _pull(self, body: dict[str, Any]) -> Answer:
        if not model_of(body):
            return self.error(400, "invalid model name")
        lines = self._pull_lines(tagged(model_of(body)))
        if body.get("stream", True):
            return stream(lines)
        last = list(lines)[-1]
        return self.error(500, last["error"]) if "error" in last else Answer.of(last)

    def _pull_lines(self, name: str) -> Iterator[dict[str, Any]]:
        """A failed pull is a line in a stream that began with 200, as in the real one."""
        digest = describe(name)["digest"]
        layer = {
            "status": f"pulling {digest[:12]}",
            "digest": f"sha256:{digest}",
            "total": MODEL_BYTES,
        }
        yield {"status": "pulling manifest"}
        if self.pull_error is not None:
            self.pause(self.pull_seconds)
            yield {"error": self.pull_error}
            return
        yield layer
        for step in range(1, PULL_STEPS + 1):
            self.pause(self.pull_seconds / PULL_STEPS)
            yield {**layer, "completed": MODEL_BYTES * step // PULL_STEPS}
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self.models = {*self.models, name}
        yield {"status": "success"}

    # ------------------------------------------------------------------ chat

    def _chat(self, body: dict[str, Any]) -> Answer:
        if not self._has(body):
            return self.error(404, f"model '{model_of(body)}' not found")
        wanted = body.get("format") or "json"
        if wanted != "json" and not isinstance(wanted, dict):
            return self.error(
                400, f'invalid format: "{wanted}"; expected "json" or a JSON Schema object'
            )
        messages = body.get("messages") or []
        tokens = sum(count_tokens(text_of(message)) + 4 for message in messages)
        if "think" in body and not self.thinks:
            return self.error(400, f'"{model_of(body)}" does not support thinking')
        context = (body.get("options") or {}).get("num_ctx", CONTEXT)
        if tokens > context and (refusal := self._of_context(body)):
            return refusal
        content = self.next_reply(body) if messages else ""
        if tokens > context:
            content, tokens = NOTHING, context // 2 + 2
        end = self._chat_end(body, content, tokens)
        if body.get("stream", True):
            return stream(self._chat_lines(body, content, end))
        return Answer.of({**chat_line(body, content), **end})

    def _of_context(self, body: dict[str, Any]) -> Answer | None:
        if self.cuts_anyway or body.get("truncate", True) or body.get("shift", True):
            return None
        return self.error(
            400,
            "the prompt is longer than the context length currently available to the model; "
            "increase the context length or shorten the prompt",
        )

    def _chat_end(self, body: dict[str, Any], content: str, tokens: int) -> dict[str, Any]:
        end = {"done": True, "done_reason": "stop" if body.get("messages") else "load"}
        counts = {
            "total_duration": 5_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": tokens,
            "prompt_eval_duration": 1_000_000,
            "eval_count": max(1, count_tokens(content)),
            "eval_duration": 3_000_000,
        }
        return {**end, **counts} if body.get("messages") else end

    def _chat_lines(
        self, body: dict[str, Any], content: str, end: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        for start in range(0, len(content), 8):
            yield {**chat_line(body, content[start : start + 8]), "done": False}
        yield {**chat_line(body, ""), **end}

    # ------------------------------------------------------------------ embeddings

    def _embed(self, body: dict[str, Any]) -> Answer:
        given = body.get("input")
        texts = [given] if isinstance(given, str) and given else given or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return self.error(400, "invalid input type")
        if not self._has(body):
            return self._not_pulled(body)
        if any(self._too_long(body, count_tokens(text)) for text in texts):
            return self.error(400, "the input length exceeds the context length")
        size = body.get("dimensions") or self.dimensions
        return Answer.of(
            {
                "model": model_of(body),
                "embeddings": [embed(self._cut(text), size) for text in texts],
                "total_duration": 14_143_917,
                "load_duration": 1_019_500,
                "prompt_eval_count": sum(self._within(count_tokens(text)) for text in texts),
            }
        )

    def _embeddings(self, body: dict[str, Any]) -> Answer:
        if not self._has(body):
            return self._not_pulled(body)
        text = body.get("prompt") or ""
        return Answer.of({"embedding": embed(self._cut(text), self.dimensions) if text else []})

    def _not_pulled(self, body: dict[str, Any]) -> Answer:
        return self.error(404, f'model "{model_of(body)}" not found, try pulling it first')

    def _too_long(self, body: dict[str, Any], tokens: int) -> bool:
        return body.get("truncate") is False and tokens > self._within(tokens)

    def _within(self, tokens: int) -> int:
        return tokens if self.max_tokens is None else min(tokens, self.max_tokens)

    def _cut(self, text: str) -> str:
        tokens = count_tokens(text)
        return text[: len(text) * self._within(tokens) // tokens] if tokens else text


def stream(lines: Iterable[Json]) -> Answer:
    return Answer(200, ndjson(lines), {"Content-Type": "application/x-ndjson"})


def chat_line(body: dict[str, Any], content: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"model": model_of(body), "created_at": now(), "message": message}


def model_of(body: dict[str, Any]) -> str:
    return body.get("model") or body.get("name") or ""


def tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def describe(name: str) -> dict[str, Any]:
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": "stub",
        "families": ["stub"],
        "parameter_size": "137M",
        "quantization_level": "F16",
    }
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-01-02T03:04:05.678901234Z",
        "size": MODEL_BYTES,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": details,
    }


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    run(OllamaServer, 11434)
