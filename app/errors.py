"""The errors that this service raises. They know nothing of HTTP: `app.api.http.problems` maps
each code to a status. Long because the set is closed, and so stands in one place.

Callers see the texts: they never hold a secret, a stack trace or the text of a memory.
"""

from collections.abc import Sequence
from typing import NamedTuple


class FieldError(NamedTuple):
    """One wrong field of a request: its path, such as `messages.0.role`, and what is wrong."""

    field: str
    message: str


class ServiceError(Exception):
    """A failure with a `code` of the closed set that openapi.yaml lists."""

    code = "internal_error"
    retry_after: int | None = None
    """Seconds after which the caller should ask again; None where asking again is useless."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidRequest(ServiceError):
    """The request itself is wrong; `errors` names each field."""

    code = "invalid_request"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = list(errors)


class UnsupportedType(ServiceError):
    """The body has a media type that the route does not take."""

    code = "unsupported_media_type"


class Unauthorized(ServiceError):
    code = "unauthorized"


class Forbidden(ServiceError):
    """The key is valid, but does not allow this."""

    code = "forbidden"


class OriginNotAllowed(ServiceError):
    code = "origin_not_allowed"

    def __init__(self, *, by_proxy: bool) -> None:
        """`by_proxy`: the request came through a proxy, so the mistake may be in PROXY_HOPS."""
        detail = "This page may not call this service. CORS_ORIGINS names those that may."
        if by_proxy:
            detail += (
                " If it is the page of this service behind a proxy, set PROXY_HOPS to the number "
                "of proxies, so that they are believed by which address it was called."
            )
        super().__init__(detail)


class HostNotAllowed(ServiceError):
    code = "host_not_allowed"

    def __init__(self) -> None:
        super().__init__(
            "Without ADMIN_API_KEY this service answers to localhost alone. Name this host in "
            "TRUSTED_HOSTS (behind a proxy both Host and X-Forwarded-Host), or better, set "
            "ADMIN_API_KEY."
        )


class PayloadTooLarge(ServiceError):
    code = "payload_too_large"


class TooManyRequests(ServiceError):
    code = "too_many_requests"
    retry_after = 1


class MemoryNotFound(ServiceError):
    code = "memory_not_found"

    def __init__(self) -> None:
        super().__init__("There is no memory with this memory_id.")


class JobNotFound(ServiceError):
    code = "job_not_found"

    def __init__(self) -> None:
        super().__init__("There is no job with this id. Those that ended are kept for some days.")


class JobHasBegun(ServiceError):
    """The job has begun or ended, so that it cannot be cancelled any more."""

    code = "job_has_begun"

    def __init__(self) -> None:
        super().__init__("This job is at work already, or has ended: it cannot be cancelled.")


class TooManyJobs(TooManyRequests):
    code = "too_many_jobs"
    retry_after = 30

    def __init__(self) -> None:
        super().__init__(
            "As many jobs wait as MAX_JOBS allows; ask again later, or without "
            "Prefer: respond-async."
        )


class RequestInProgress(ServiceError):
    code = "request_in_progress"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key is still at work.")


class IdempotencyKeyReused(ServiceError):
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another body before: take a new one.")


class RespondAsyncNeeded(ServiceError):
    """The request asks for more work than one request may wait for; a job can do it."""

    code = "respond_async_needed"


class IdempotencyKeyErased(ServiceError):
    """The memories that a key's first request stored were erased, and its answer with them, so
    that the answer cannot be repeated."""

    code = "idempotency_key_erased"

    def __init__(self) -> None:
        super().__init__(
            "What this Idempotency-Key stored was erased since. Take a new key to store it again."
        )


class FilterTooExpensive(InvalidRequest):
    """The filter would cost so much that other callers had to wait."""

    code = "filter_too_expensive"


class LLMNotConfigured(ServiceError):
    code = "llm_not_configured"

    def __init__(self) -> None:
        super().__init__(
            "infer: true needs an LLM and none is configured. Configure one (see env), "
            "or send infer: false to store the text as it is."
        )


class KeysNotConfigured(ServiceError):
    code = "keys_not_configured"

    def __init__(self) -> None:
        super().__init__("Keys are signed with ADMIN_API_KEY, and none is set: set one (see env).")


class NotOffered(ServiceError):
    """A mem0 API has this operation, but this service does not."""

    code = "not_offered"


class Unavailable(ServiceError):
    """A dependency of this service is down, refuses, or is not ready; it may recover."""

    retry_after = 5


class ServiceBusy(Unavailable):
    """Too many requests are being answered, or a lock is held for too long."""

    code = "service_busy"
    retry_after = 1


class VectorStoreUnavailable(Unavailable):
    code = "vector_store_unavailable"


class VectorStoreRefused(VectorStoreUnavailable):
    """The write certainly did not take place: it was not sent, or it was refused as a whole."""


class VectorStoreFull(VectorStoreRefused):
    """The vector store has no room to write; reads go on."""

    code = "storage_full"
    retry_after = 60


class HistoryUnavailable(Unavailable):
    code = "history_unavailable"


class MaintenanceFailed(Unavailable):
    """The maintenance thread, which recovers unfinished writes, keeps failing."""

    code = "maintenance_failed"


class JobsDelayed(Unavailable):
    """Jobs wait, but none has ended for too long, or the thread that starts them fails."""

    code = "jobs_delayed"


class StorageFull(Unavailable):
    """Too little room on the disk to write; reads go on."""

    code = "storage_full"
    retry_after = 60


class ModelFailed(ServiceError):
    """The LLM or the embedder cannot be used. A search then goes by words alone."""


class EmbedderMismatch(ModelFailed, Unavailable):
    """The stored vectors were made by another model than the one that is configured."""

    code = "embedder_mismatch"
    retry_after = 60


class BeingEmbedded(ModelFailed, Unavailable):
    """The memories are being embedded again, because the configured model has changed."""

    code = "being_embedded"
    retry_after = 60


class ModelNotReady(ModelFailed, Unavailable):
    code = "model_not_ready"
    retry_after = 30


class ProviderUnavailable(ModelFailed, Unavailable):
    code = "provider_unavailable"
    pause: float | None = None
    """Seconds that the provider asks us to wait before the next call; None where it says none."""


class ProviderRateLimited(ModelFailed, Unavailable):
    code = "provider_rate_limited"

    def __init__(self, detail: str, retry_after: int, pause: float | None = None) -> None:
        """`retry_after`: seconds that the caller is told. `pause`: seconds that we wait before
        the next call, where that is shorter."""
        super().__init__(detail)
        self.retry_after = retry_after
        self.pause = retry_after if pause is None else pause


class ProviderRefused(ModelFailed):
    """The provider refuses this call, and would refuse it again."""

    code = "provider_refused"


class ProviderMisconfigured(ProviderRefused):
    """A setting is wrong, such as an address or the name of a model: every call fails."""


class ProviderAuthFailed(ProviderRefused):
    code = "provider_auth_failed"


class ProviderQuotaExceeded(ProviderRefused):
    code = "provider_quota_exceeded"


class ProviderContentFiltered(ProviderRefused):
    """The provider's content filter refuses this text."""

    code = "provider_content_filtered"


class ProviderTooManyTexts(ProviderRefused):
    """One call had more texts than the provider embeds at once."""


class EmbedderInputTooLong(ProviderRefused):
    """The embedder refuses a text as too long, even when it is cut short."""

    code = "embedder_input_too_long"


OF_ONE_TEXT = (
    ProviderRefused,
    ProviderContentFiltered,
    ProviderTooManyTexts,
    EmbedderInputTooLong,
)
"""Errors that concern the texts of one call only: others may well be embedded. Exactly these
classes: a subclass such as ProviderAuthFailed concerns every call."""


class ContextTooSmall(ProviderRefused):
    """The prompt is longer than the model's context."""

    code = "context_too_small"


class ProviderBadAnswer(ModelFailed):
    """The provider answered with something that cannot be used."""

    code = "provider_bad_answer"


class ProviderAnswerCut(ProviderBadAnswer):
    """The model's answer was cut off at the limit of tokens."""

    code = "provider_answer_cut"


class ProviderTimeout(ModelFailed):
    code = "provider_timeout"


class VectorStoreTimeout(ServiceError):
    code = "vector_store_timeout"


class StartupError(Exception):
    """The service cannot start; the text says what to change."""


class NotYet(StartupError):
    """The service cannot start yet, but the obstacle goes away by itself: try again soon."""
