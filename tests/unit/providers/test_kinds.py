"""What a refusal of a service is to a caller, by the errors that services really give."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from app.config import Settings
from app.errors import (
    ContextTooSmall,
    EmbedderInputTooLong,
    ProviderAuthFailed,
    ProviderContentFiltered,
    ProviderMisconfigured,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTooManyTexts,
    ProviderUnavailable,
    ServiceError,
)
from app.providers.kinds import failure_of
from app.providers.refusals import Refusal
from app.providers.registry import find
from app.providers.retry_after import seconds_to_wait
from app.providers.target import Target
from tests.servers import gateways
from tests.servers.gateways import GatewayError
from tests.service import ROOT

DATA = ROOT / "tests" / "data"

KINDS: list[tuple[list[GatewayError], type[ServiceError], str]] = [
    (gateways.QUOTA, ProviderQuotaExceeded, "quota"),
    (gateways.RATE_LIMIT, ProviderRateLimited, "rate limited"),
    (gateways.FILTER, ProviderContentFiltered, "content filter"),
    (gateways.UNKNOWN_MODEL, ProviderMisconfigured, "EMBEDDER_MODEL"),
    (gateways.KEY, ProviderAuthFailed, "EMBEDDER_API_KEY"),
    (gateways.ADDRESS, ProviderMisconfigured, "EMBEDDER_BASE_URL"),
    (gateways.BATCH, ProviderTooManyTexts, "EMBEDDER_BATCH"),
    (gateways.TOO_LONG, EmbedderInputTooLong, "EMBEDDER_MAX_TOKENS"),
    (gateways.STREAM, ProviderRefused, "enable_thinking"),
    (gateways.PARAMETER, ProviderRefused, "does not take the parameter"),
    (gateways.LOADING, ProviderUnavailable, "loading"),
]


def names(role: Any = "EMBEDDER") -> Target:
    settings = Settings.from_env(
        {
            "LLM_BASE_URL": "http://x/v1",
            "EMBEDDER_BASE_URL": "http://y/v1",
            "LLM_PROVIDER": "openai",
        }
    )
    return find("openai").target(settings, role, gateways.MODEL)


def refusal(error: GatewayError) -> Refusal:
    text = error.body if isinstance(error.body, str) else json.dumps(error.body)
    return Refusal.read(error.status, dict(error.headers), text)


def known() -> Iterator[Any]:
    for errors, to_us, says in KINDS:
        for number, error in enumerate(errors):
            yield pytest.param(error, to_us, says, id=f"{to_us.code}-{error.service}-{number}")


@pytest.mark.parametrize(("error", "to_us", "says"), [*known()])
def test_an_error_of_a_service_is_known(
    error: GatewayError, to_us: type[ServiceError], says: str
) -> None:
    failure = failure_of(refusal(error), names())
    assert type(failure) is to_us, failure.detail
    assert says in failure.detail


MORE: dict[str, tuple[type[ServiceError], str]] = {
    "provider_quota_exceeded": (ProviderQuotaExceeded, "quota"),
    "provider_rate_limited": (ProviderRateLimited, "rate limited"),
    "provider_content_filtered": (ProviderContentFiltered, "content filter"),
    "model": (ProviderMisconfigured, "_MODEL"),
    "use": (ProviderMisconfigured, "for embeddings"),
    "provider_auth_failed": (ProviderAuthFailed, "_API_KEY"),
    "tls": (ProviderMisconfigured, "https://"),
    "memory": (ProviderUnavailable, "too little memory"),
    "crashed": (ProviderUnavailable, "cannot run the model"),
    "redirect": (ProviderMisconfigured, "leads on to another"),
    "provider_unavailable": (ProviderUnavailable, "failed"),
    "batch": (ProviderTooManyTexts, "EMBEDDER_BATCH"),
    "too_long": (EmbedderInputTooLong, "EMBEDDER_MAX_TOKENS"),
    "provider_context_too_small": (ContextTooSmall, "context"),
    "parameter": (ProviderRefused, "does not take the parameter"),
}
"""Of each group of tests/data/refusals.json; its `source` is a report, or whose words they are."""


def reported() -> Iterator[Any]:
    for group, errors in json.loads((DATA / "refusals.json").read_text()).items():
        for error in errors:
            yield pytest.param(group, error, id=f"{group}-{error['service']}")


@pytest.mark.parametrize(("group", "error"), [*reported()])
def test_what_users_report_of_more_services_is_known(group: str, error: dict[str, Any]) -> None:
    body = error["body"] if isinstance(error["body"], str) else json.dumps(error["body"])
    role = "LLM" if group == "provider_context_too_small" else "EMBEDDER"
    failure = failure_of(Refusal.read(error["status"], {}, body), names(role))
    to_us, says = MORE[group]
    assert type(failure) is to_us, failure.detail
    assert says in failure.detail


def test_a_context_that_is_too_small_is_told_with_both_numbers() -> None:
    [error] = gateways.CONTEXT
    failure = failure_of(refusal(error), names("LLM"))
    assert isinstance(failure, ContextTooSmall)
    assert "5031" in failure.detail
    assert "4096" in failure.detail


SECRETS = ["sk-abcdef1234567890", "My dog is called Rex.", "Rex", "sk-test"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("field", ["message", "code", "type", "param"])
@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
def test_no_key_and_no_text_is_quoted(status: int, field: str, secret: str) -> None:
    error = {"message": "no", "code": None, "type": None, "param": None, field: secret}
    told = failure_of(Refusal.read(status, {}, json.dumps({"error": error})), names())
    assert secret not in told.detail


def test_what_a_service_quotes_of_the_request_is_not_taken_for_its_reason() -> None:
    said = {"msg": "Field required", "input": "I exceeded my quota, my balance is insufficient"}
    told = failure_of(Refusal.read(422, {}, json.dumps({"detail": [said]})), names())
    assert type(told) is ProviderRefused


def test_identifiers_are_shown() -> None:
    body = gateways.openai("secret words", "invalid_request_error", "unsupported_thing", "input[0]")
    told = failure_of(Refusal.read(400, {}, json.dumps(body)), names())
    assert (
        "400, code: unsupported_thing, type: invalid_request_error, param: input[0]" in told.detail
    )


@pytest.mark.parametrize(
    ("settings", "provider", "address", "key"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        (
            {"EMBEDDER_BASE_URL": "http://y/v1", "EMBEDDER_PROVIDER": "openai"},
            "openai",
            "EMBEDDER_BASE_URL",
            "EMBEDDER_API_KEY",
        ),
        ({"OLLAMA_BASE_URL": "http://y"}, "ollama", "OLLAMA_BASE_URL", "EMBEDDER_API_KEY"),
    ],
)
def test_the_setting_that_is_in_use_is_named(
    settings: dict[str, str], provider: str, address: str, key: str
) -> None:
    found = find(provider).target(Settings.from_env(settings), "EMBEDDER", "m")
    assert (found.address, found.key) == (address, key)


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after": "7"}, "", 7),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after": "3s"}, "", 3),
        ({"retry-after-ms": "250", "retry-after": "9"}, "", 0.25),
        ({"retry-after": "-1"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "1e999"}, "", None),
        ({}, "Please try again in 1.5s.", 1.5),
        ({}, "Please try again in 6m0s.", 360),
        ({}, "Please try again in 20ms.", 0.02),
        ({}, "retryDelay: 34s", 34),
        ({}, "Please retry after 20 seconds.", 20),
        ({}, "Please try again later.", None),
        ({"retry-after": "1m30s"}, "", 90),
        ({"retry-after": "20, 20"}, "", 20),
        ({"retry-after": '"5"'}, "", 5),
        ({"x-ms-retry-after-ms": "500"}, "", 0.5),
        ({"x-ratelimit-reset": "30"}, "", 30),
        ({"x-ratelimit-reset-requests": "20ms"}, "", 0.02),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, "", 1),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
            },
            "",
            360,
        ),
        ({}, "Please try again in 1h2m3.5s.", 3723.5),
        ({}, "Please try again in 5 minutes.", 300),
        ({}, "Try again in 2 days", 86400),
        ({}, "Please wait 3600 seconds before retrying.", 3600),
        ({}, "请求过于频繁，请 3 秒后重试", 3),
        ({}, "retry_after: 5", 5),
        ({}, "retry_after_ms: 500", 0.5),
        ({}, "estimated_time: 20.0", 20),
        ({}, "Please retry after 10:30.", None),
        ({}, "Retry after: 2030-01-01T00:00:00Z", None),
    ],
    ids=str,
)
def test_how_long_to_wait(headers: dict[str, str], words: str, seconds: float | None) -> None:
    assert seconds_to_wait(headers, words) == seconds


MOMENTS: dict[str, Callable[[datetime], tuple[dict[str, str], str]]] = {
    "of HTTP": lambda at: ({"retry-after": format_datetime(at, usegmt=True)}, ""),
    "of ISO 8601": lambda at: ({"retry-after": at.isoformat()}, ""),
    "in seconds": lambda at: ({"retry-after": f"{at.timestamp():.0f}"}, ""),
    "of a limit": lambda at: ({"x-ratelimit-reset": f"{at.timestamp():.0f}"}, ""),
    "in milliseconds": lambda at: ({"x-ratelimit-reset": f"{at.timestamp() * 1000:.0f}"}, ""),
    "in the body": lambda at: ({}, f"X-RateLimit-Reset: {at.timestamp() * 1000:.0f}"),
}


@pytest.mark.parametrize("form", MOMENTS)
def test_how_long_to_wait_may_be_a_moment(form: str) -> None:
    headers, words = MOMENTS[form](datetime.now(UTC) + timedelta(hours=1))
    found = seconds_to_wait(headers, words)
    assert found is not None
    assert 3590 < found < 3601


def test_when_a_limit_begins_anew_says_nothing_of_a_failure() -> None:
    headers = {"x-ratelimit-reset-requests": "9s"}
    failed = failure_of(Refusal.read(503, headers, "{}"), names())
    assert isinstance(failed, ProviderUnavailable)
    assert failed.pause is None
    limited = failure_of(Refusal.read(429, headers, "{}"), names())
    assert isinstance(limited, ProviderRateLimited)
    assert limited.pause == 9


def test_a_moment_that_is_past_is_now() -> None:
    past = seconds_to_wait({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert past == 0
