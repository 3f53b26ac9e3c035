"""What can go wrong, in the service's own words and without HTTP's. Long because the set is closed.

Every text given here is written for the caller: no secret, no stack trace and no memory of
anybody ever stands in it.
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
    """Seconds after which asking again makes sense; None where it does not."""

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
    """A body of another type than the route takes."""

    code = "unsupported_media_type"


class Unauthorized(ServiceError):
    code = "unauthorized"


class Forbidden(ServiceError):
    """A key that is known, for something that is not its holder's."""

    code = "forbidden"


class OriginNotAllowed(ServiceError):
    code = "origin_not_allowed"

    def __init__(self, *, by_proxy: bool) -> None:
        """`by_proxy`: a proxy passed the request on and is not believed, or says another name."""
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
    """It cannot be cancelled any more."""

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
    """More than anybody should wait for in one request."""

    code = "respond_async_needed"


class IdempotencyKeyErased(ServiceError):
    """The answer was erased with the memories: it can be neither given nor made again."""

    code = "idempotency_key_erased"

    def __init__(self) -> None:
        super().__init__(
            "What this Idempotency-Key stored was erased since. Take a new key to store it again."
        )


class FilterTooExpensive(InvalidRequest):
    """A filter that would keep everybody else waiting."""

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
    """A part of another server's API that this one does not have."""

    code = "not_offered"


class Unavailable(ServiceError):
    """Something that this service stands on is down, refusing or not ready; it may come back."""

    retry_after = 5


class ServiceBusy(Unavailable):
    """Too much is at work already, or another write that must come first takes too long."""

    code = "service_busy"
    retry_after = 1


class VectorStoreUnavailable(Unavailable):
    code = "vector_store_unavailable"


class VectorStoreRefused(VectorStoreUnavailable):
    """What was to be written was certainly not: nothing was sent, or it was refused as a whole."""


class VectorStoreFull(VectorStoreRefused):
    """The vector store has no room to write; reads go on."""

    code = "storage_full"
    retry_after = 60


class HistoryUnavailable(Unavailable):
    code = "history_unavailable"


class MaintenanceFailed(Unavailable):
    """What settles unfinished writes does not get on."""

    code = "maintenance_failed"


class JobsDelayed(Unavailable):
    """The jobs that wait do not get on."""

    code = "jobs_delayed"


class StorageFull(Unavailable):
    """Too little room on the disk to write; reads go on."""

    code = "storage_full"
    retry_after = 60


class EmbedderMismatch(Unavailable):
    """The stored vectors are of another model than the one that is configured."""

    code = "embedder_mismatch"
    retry_after = 60


class BeingEmbedded(Unavailable):
    """The memories are being embedded again, by another model than before."""

    code = "being_embedded"
    retry_after = 60


class ModelNotReady(Unavailable):
    code = "model_not_ready"
    retry_after = 30


class ProviderUnavailable(Unavailable):
    code = "provider_unavailable"
    pause: float | None = None
    """Seconds after which the service itself wants to be asked again; None where it says none."""


class ProviderRateLimited(Unavailable):
    code = "provider_rate_limited"

    def __init__(self, detail: str, retry_after: int, pause: float | None = None) -> None:
        """`retry_after` is for the caller, `pause` for ourselves, where it is shorter."""
        super().__init__(detail)
        self.retry_after = retry_after
        self.pause = retry_after if pause is None else pause


class ProviderRefused(ServiceError):
    """The model's service will not do this, now or later."""

    code = "provider_refused"


class ProviderMisconfigured(ProviderRefused):
    """A setting of ours is wrong, such as an address or a model's name: every request fails."""


class ProviderAuthFailed(ProviderRefused):
    code = "provider_auth_failed"


class ProviderQuotaExceeded(ProviderRefused):
    code = "provider_quota_exceeded"


class ProviderContentFiltered(ProviderRefused):
    """The model's service will not do this with this text."""

    code = "provider_content_filtered"


class ProviderTooManyTexts(ProviderRefused):
    """More texts than it embeds in one call."""


class EmbedderInputTooLong(ProviderRefused):
    """Not even the beginning of a text was taken."""

    code = "embedder_input_too_long"


OF_ONE_TEXT = (
    ProviderRefused,
    ProviderContentFiltered,
    ProviderTooManyTexts,
    EmbedderInputTooLong,
)
"""Those that say nothing of other texts; what is made of them does."""


class ContextTooSmall(ProviderRefused):
    """The model cannot read as much at once as it was given."""

    code = "context_too_small"


class ProviderBadAnswer(ServiceError):
    """The model's service answered with something that cannot be used."""

    code = "provider_bad_answer"


class ProviderAnswerCut(ProviderBadAnswer):
    """The model did not come to an end within the tokens that an answer may have."""

    code = "provider_answer_cut"


class ProviderTimeout(ServiceError):
    code = "provider_timeout"


class VectorStoreTimeout(ServiceError):
    code = "vector_store_timeout"


class StartupError(Exception):
    """The service cannot start; the text says what to change."""


class NotYet(StartupError):
    """It cannot start yet, but will: what is in its way goes away by itself."""
