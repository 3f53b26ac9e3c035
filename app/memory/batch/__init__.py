"""Batches: many adds in one request, each with an answer of its own."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from app.errors import (
    IdempotencyKeyErased,
    IdempotencyKeyReused,
    InvalidRequest,
    RespondAsyncNeeded,
    ServiceError,
)
from app.memory.adding import Adding
from app.memory.batch.parts import Outcome, Part, key_of
from app.memory.batch.together import StoringTogether
from app.memory.given import Given, idempotency_key
from app.memory.idempotency import IdempotencyKey, claimed, released_on_failure
from app.memory.jobs import JobService
from app.memory.requests import AddRequest, BatchRequest
from app.memory.validation import at_place, validated
from app.security.principal import Principal
from app.storage.journal.writer import Writer

__all__ = ["Batches", "Outcome"]

MAX_INFERRED = 20  # adds that may ask the LLM while the caller waits
AT_ONCE = 4  # of these adds run in parallel: other requests need the LLM, too

Read = Part | ServiceError
"""An add that was read, or what is wrong with it."""

ANSWERED = "{}"
"""The stored answer for the key of a batch. The real answers are stored for the keys of its
adds."""


class Batches:
    """Runs batches of adds, which may be of many scopes. Safe for many threads."""

    def __init__(
        self,
        writer: Writer,
        adding: Adding,
        together: StoringTogether,
        jobs: JobService,
        llm_places: int,
    ) -> None:
        """`llm_places`: how many adds may wait for the LLM at once."""
        self._writer = writer
        self._adding = adding
        self._jobs = jobs
        self._together = together
        self._at_once = min(AT_ONCE, llm_places)

    def add(
        self,
        principal: Principal,
        asked: BatchRequest,
        key: str | None = None,
        *,
        respond_async: bool = False,
    ) -> list[Outcome]:
        """The outcomes of the adds, in their order; one that fails does not stop the others. With
        `respond_async`, adds that need the LLM are accepted as jobs.

        In a repeat with the same idempotency `key`, adds that were stored get their first answers,
        and the others are tried again. Raises RespondAsyncNeeded, and the errors of
        `MemoryService.add` about the key.
        """
        principal.must_write()
        read = [self._read(principal, number, body, key) for number, body in enumerate(asked.adds)]
        parts = [one for one in read if isinstance(one, Part)]
        inferred = [part for part in parts if part.inferred]
        if len(inferred) > MAX_INFERRED and not respond_async:
            raise RespondAsyncNeeded(
                f"{len(inferred)} of these adds want an LLM, and one request waits for "
                f"{MAX_INFERRED} at most: send fewer, infer: false, or Prefer: respond-async."
            )
        with self._once(principal, asked, key):
            self._together.store([part for part in parts if not part.inferred])
            if respond_async:
                self._accept(principal, inferred)
            else:
                self._infer(principal, inferred)
        return [_outcome(one) for one in read]

    def _read(self, principal: Principal, number: int, body: Any, key: str | None) -> Read:
        try:
            asked = validated(AddRequest, body, principal)
            given = Given.of(
                principal, asked, idempotency_key(principal, asked, key_of(key, number))
            )
            return Part(asked, given, self._adding.infers(asked))
        except InvalidRequest as error:
            return at_place(f"adds.{number}", error)
        except ServiceError as error:
            return error

    @contextmanager
    def _once(self, principal: Principal, asked: BatchRequest, key: str | None) -> Iterator[None]:
        """Claims the batch's key, so that no other request runs the same batch meanwhile."""
        if key is None:
            yield
            return
        whole = IdempotencyKey(principal.id, key, asked.fingerprint(), asked.fingerprint())
        is_first = claimed(self._writer, whole, principal.scope) is None
        with released_on_failure(self._writer, [whole] if is_first else []):
            yield
            if is_first:
                journal = self._writer.journal
                journal.answers.answer(principal.id, key, ANSWERED, journal.process)

    def _accept(self, principal: Principal, parts: Sequence[Part]) -> None:
        """Accept `parts` as jobs: together, or one by one where a key was reused or erased."""
        try:
            jobs = self._jobs.submit_many(principal, [(one.asked, one.key) for one in parts])
        except (IdempotencyKeyReused, IdempotencyKeyErased) as failure:
            if len(parts) > 1:
                for part in parts:
                    self._accept(principal, [part])
                return
            parts[0].outcome = failure
        except ServiceError as failure:
            for part in parts:
                part.outcome = failure
        else:
            for part, job in zip(parts, jobs, strict=True):
                part.outcome = job

    def _infer(self, principal: Principal, parts: Sequence[Part]) -> None:
        """Run `parts` by the LLM: scopes in parallel, and the adds of one scope in turn."""
        scopes: defaultdict[frozenset[tuple[str, str]], list[Part]] = defaultdict(list)
        for part in parts:
            scopes[frozenset(part.given.scope.items())].append(part)
        if not scopes:
            return
        with ThreadPoolExecutor(self._at_once, "batch") as pool:
            running = [
                pool.submit(copy_context().run, self._infer_in_turn, principal, some)
                for some in scopes.values()
            ]
            for one in running:
                one.result()

    def _infer_in_turn(self, principal: Principal, parts: Sequence[Part]) -> None:
        for part in parts:
            try:
                part.outcome = self._adding.add(principal, part.asked, part.key)
            except ServiceError as failure:
                part.outcome = failure


def _outcome(read: Read) -> Outcome:
    if not isinstance(read, Part):
        return read
    if read.outcome is None:
        raise AssertionError("a part of a batch without an outcome")
    return read.outcome
