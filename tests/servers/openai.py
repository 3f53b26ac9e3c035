"""A stand-in for the OpenAI API: chat completions, embeddings, models."""

import base64
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tests.servers.base import (
    Answer,
    Fault,
    ModelServer,
    Request,
    count_tokens,
    embed,
    run,
    text_of,
)

MAX_INPUT_TOKENS = 8192
MAX_REQUEST_TOKENS = 300_000
MAX_INPUTS = 2048

KEYS_PAGE = "https://platform.openai.com/account/api-keys"
REFERENCE = "Please check the API reference: https://platform.openai.com/docs/api-reference."
NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header"
    " using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank"
    " username) if you're accessing the API from your browser and are prompted for a username and"
    f" password. You can obtain an API key from {KEYS_PAGE}."
)
NO_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more"
    " information on this error, read the docs:"
    " https://platform.openai.com/docs/guides/error-codes/api-errors."
)
SERVER_ERROR = (
    "The server had an error while processing your request. Sorry about that! Please contact us"
    " through our help center at help.openai.com if the error persists."
)
MESSAGES = {
    401: NO_KEY,
    429: "Rate limit reached for requests",
    500: SERVER_ERROR,
    503: "The engine is currently overloaded, please try again later",
}


class OpenAIServer(ModelServer):
    """OpenAI's API. `dimensions` is the size of a vector when a request names none, `models` (if
    set) the only models there are, `pieces` (if set) how the body of an answer is sent, `refused`
    are texts that are not embedded, nor what is asked for together with them."""

    def __init__(self, port: int = 0, *, dimensions: int = 1536, **options: Any) -> None:
        super().__init__(port, **options)
        self.dimensions = dimensions
        self.models: set[str] | None = None
        self.pieces: Callable[[bytes], Iterable[bytes]] | None = None
        self.refused: set[str] = set()
        self._numbers = itertools.count(1)

    # ------------------------------------------------------------------ faults with a name

    def rate_limit(self, retry_after: float = 20, times: int | None = None) -> Fault:
        message = (
            "Rate limit reached for gpt-4.1-nano in organization org-test on requests per min"
            f" (RPM): Limit 3, Used 3, Requested 1. Please try again in {retry_after}s. Visit"
            " https://platform.openai.com/account/rate-limits to learn more."
        )
        body = error_body(message, "requests", "rate_limit_exceeded")
        headers = {"Retry-After": str(retry_after), "x-ratelimit-remaining-requests": "0"}
        return self.fault("/", status=429, body=body, headers=headers, times=times)

    def quota_exceeded(self, times: int | None = None) -> Fault:
        body = error_body(NO_QUOTA, "insufficient_quota", "insufficient_quota")
        return self.fault("/", status=429, body=body, times=times)

    def refuse_key(self, times: int | None = None) -> Fault:
        body = error_body(wrong_key("sk-test"), "invalid_request_error", "invalid_api_key")
        return self.fault("/", status=401, body=body, times=times)

    # ------------------------------------------------------------------ answers

    def answer(self, request: Request) -> Answer:
        routes = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/embeddings"): self._embeddings,
            ("GET", "/v1/models"): self._models,
        }
        route = routes.get((request.method, request.path))
        if route is None:
            return self.error(404, f"Invalid URL ({request.method} {request.path})")
        if request.method == "POST" and not isinstance(request.body, dict):
            return self.error(400, "We could not parse the JSON body of your request.")
        answer = self._unknown_model(request) or route(request.body or {})
        answer.headers["x-request-id"] = f"req_{next(self._numbers):032x}"
        if self.pieces and isinstance(answer.body, bytes):
            answer.body = self.pieces(answer.body)
        return answer

    def error(
        self,
        status: int,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> Answer:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        text = message or MESSAGES.get(status, f"Error {status}")
        return Answer.of(error_body(text, kind, code, param), status)

    def refusal(self, request: Request) -> Answer | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self.api_key is None or given == self.api_key:
            return None
        if not given:
            return self.error(401)
        return self.error(401, wrong_key(given), code="invalid_api_key")

    def _unknown_model(self, request: Request) -> Answer | None:
        if request.method == "GET":
            return None
        model = request.body.get("model")
        if not model:
            return self.error(400, "you must provide a model parameter")
        if self.models is None or model in self.models:
            return None
        message = f"The model `{model}` does not exist or you do not have access to it."
        return self.error(404, message, code="model_not_found")

    def _models(self, _body: dict[str, Any]) -> Answer:
        names = self.models or {"gpt-4.1-nano", "gpt-5-mini", "text-embedding-3-small"}
        entry = {"object": "model", "created": 1705948997, "owned_by": "system"}
        return Answer.of(
            {"object": "list", "data": [{"id": name, **entry} for name in sorted(names)]}
        )

    def _chat(self, body: dict[str, Any]) -> Answer:
        refusal = self._chat_refusal(body)
        if refusal is not None:
            return refusal
        content = self.next_reply(body)
        prompt = sum(count_tokens(text_of(message)) + 4 for message in body["messages"]) + 3
        spoken = max(1, count_tokens(content))
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        return Answer.of(
            {
                "id": f"chatcmpl-{next(self._numbers):029d}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": body["model"],
                "choices": [choice],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": spoken,
                    "total_tokens": prompt + spoken,
                },
                "service_tier": "default",
                "system_fingerprint": None,
            }
        )

    def _chat_refusal(self, body: dict[str, Any]) -> Answer | None:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            message = "Missing required parameter: 'messages'."
            return self.error(400, message, param="messages", code="missing_required_parameter")
        if body.get("stream"):
            return self.error(400, "This stand-in does not stream.", param="stream")
        kind = (body.get("response_format") or {"type": "text"}).get("type")
        if kind not in ("text", "json_object", "json_schema"):
            message = (
                f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and"
                " 'text'."
            )
            return self.error(400, message, param="response_format.type", code="invalid_value")
        if kind == "json_object" and not any("json" in text_of(m).lower() for m in messages):
            message = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of"
                " type 'json_object'."
            )
            return self.error(400, message, param="messages")
        return None

    def _embeddings(self, body: dict[str, Any]) -> Answer:
        texts = as_texts(body.get("input"))
        refusal = self._embeddings_refusal(body, texts)
        if refusal is not None:
            return refusal
        size = body.get("dimensions") or self.dimensions
        encode = as_base64 if body.get("encoding_format") == "base64" else list
        data = [
            {"object": "embedding", "index": index, "embedding": encode(embed(text, size))}
            for index, text in enumerate(texts)
        ]
        tokens = sum(max(1, count_tokens(text)) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Answer.of({"object": "list", "data": data, "model": body["model"], "usage": usage})

    def _embeddings_refusal(self, body: dict[str, Any], texts: list[str]) -> Answer | None:
        if not texts or not all(texts) or len(texts) > MAX_INPUTS:
            return self.error(400, f"'$.input' is invalid. {REFERENCE}")
        size = body.get("dimensions")
        if size is not None and (not isinstance(size, int) or size < 1):
            return self.error(400, f"'$.dimensions' is invalid. {REFERENCE}")
        encoding = body.get("encoding_format")
        if encoding not in (None, "float", "base64"):
            return self.error(400, f"'$.encoding_format' is invalid. {REFERENCE}")
        if self.refused & {*texts}:
            return self.error(400)
        return self._too_long(body, texts)

    def _too_long(self, body: dict[str, Any], texts: list[str]) -> Answer | None:
        tokens = [count_tokens(text) for text in texts]
        for index, number in enumerate(tokens):
            if number > MAX_INPUT_TOKENS:
                name = "input" if isinstance(body["input"], str) else f"input[{index}]"
                message = f"Invalid '{name}': maximum input length is {MAX_INPUT_TOKENS} tokens."
                return self.error(400, message)
        if sum(tokens) > MAX_REQUEST_TOKENS:
            kind = "max_tokens_per_request"
            message = f"Requested {sum(tokens)} tokens, max {MAX_REQUEST_TOKENS} tokens per request"
            return Answer.of(error_body(message, kind, kind), 400)
        return None


def error_body(
    message: str, kind: str, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def wrong_key(key: str) -> str:
    shown = key if len(key) < 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"
    return f"Incorrect API key provided: {shown}. You can find your API key at {KEYS_PAGE}."


def as_texts(given: Any) -> list[str]:
    """A text, texts, the tokens of a text, or the tokens of texts; none for anything else."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        return []
    if given and all(isinstance(item, int) for item in given):
        given = [given]
    return [text for item in given for text in one_text(item)]


def one_text(item: Any) -> list[str]:
    if isinstance(item, str):
        return [item]
    if isinstance(item, list) and all(isinstance(token, int) for token in item):
        return [" ".join(f"t{token}" for token in item)]
    return [""]  # refused like an empty text


def as_base64(vector: list[float]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


if __name__ == "__main__":
    run(OpenAIServer, 9100)
