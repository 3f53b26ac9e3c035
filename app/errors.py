"""What can go wrong, in the service's own words and without HTTP's.

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


class MemoryNotFound(ServiceError):
    code = "memory_not_found"

    def __init__(self) -> None:
        super().__init__("There is no memory with this memory_id.")


class LLMNotConfigured(ServiceError):
    code = "llm_not_configured"

    def __init__(self) -> None:
        super().__init__(
            "infer: true needs an LLM and none is configured. Configure one (see env), "
            "or send infer: false to store the text as it is."
        )


class VectorStoreUnavailable(ServiceError):
    code = "vector_store_unavailable"
    retry_after = 5


class HistoryUnavailable(ServiceError):
    code = "history_unavailable"
    retry_after = 5


class StartupError(Exception):
    """The service cannot start; the text says what to change."""
