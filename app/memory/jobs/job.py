"""A job as callers see it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import FieldError, ServiceError
from app.memory.answers import Added
from app.security.scopes import Scope
from app.storage.history.job_rows import CANCELLED, FAILED, PENDING, SUCCEEDED, StoredJob


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed; the fields of a ServiceError."""

    code: str
    detail: str
    errors: Sequence[FieldError] = ()

    @classmethod
    def of(cls, error: ServiceError) -> "Failure":
        return cls(error.code, error.detail, getattr(error, "errors", ()))

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "Failure":
        given = json.loads(text)
        errors = [FieldError(*error) for error in given.pop("errors")]
        return cls(**given, errors=errors)


@dataclass(frozen=True)
class Job:
    """A job; its times are in seconds since 1970."""

    id: str
    state: str
    """One of `app.storage.history.job_rows.STATES`."""
    scope: Scope
    attempts: int
    accepted_at: float
    began_at: float | None
    ended_at: float | None
    due_at: float | None
    """The time of the next attempt, where one has failed."""
    added: Added | None
    """What a succeeded job stored; None where a purge erased it."""
    failure: Failure | None
    """Why the job, or its last attempt, failed."""
    erased: bool
    """Whether a purge erased what the job stored."""

    @property
    def has_ended(self) -> bool:
        return self.state in (SUCCEEDED, FAILED, CANCELLED)

    @classmethod
    def of(cls, row: StoredJob) -> "Job":
        text = row.outcome
        succeeded = row.state == SUCCEEDED
        failure = Failure.from_json(text) if text and not succeeded else None
        return cls(
            id=row.id,
            state=row.state,
            scope=row.scope,
            attempts=row.attempts,
            accepted_at=row.accepted_at,
            began_at=row.began_at,
            ended_at=row.ended_at,
            due_at=row.due_at if failure and row.state == PENDING else None,
            added=Added.from_json(text) if text and succeeded else None,
            failure=failure,
            erased=row.erased,
        )
