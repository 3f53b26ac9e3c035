"""Runs a job: makes its add, and stores the outcome."""

import json
import logging
import time
from datetime import UTC, datetime

from app.errors import ServiceError
from app.memory.adding import Adding
from app.memory.idempotency import IdempotencyKey
from app.memory.jobs.job import Failure
from app.memory.jobs.retrying import back_off, pause
from app.memory.requests import AddRequest
from app.memory.validation import validated
from app.observability.logs import request_id
from app.observability.metrics import JOBS_RETRIED
from app.security.principal import Principal
from app.storage.history.answers import Withdrawn
from app.storage.history.job_queue import JobQueue
from app.storage.history.job_rows import StoredJob
from app.storage.journal.liveness import Liveness
from app.storage.payloads import written_down

log = logging.getLogger(__name__)

DEFECT = Failure("internal_error", "A defect of this service; its log has the id of the job.")


class Work:
    """Runs jobs, one in each call."""

    def __init__(self, queue: JobQueue, adding: Adding, liveness: Liveness) -> None:
        self._queue = queue
        self._adding = adding
        self._liveness = liveness

    def __call__(self, job: StoredJob) -> None:
        """Raises HistoryUnavailable where the outcome cannot be stored. The job is then run again,
        and its idempotency key returns what this run has stored."""
        request_id.set(job.id)
        try:
            outcome = self._add(job)
        except Withdrawn:
            log.info("a job was cancelled by a deletion while it was at work")
        except ServiceError as error:
            self._failed(job, error)
        except Exception as error:  # a defect in one job must not stop the others
            log.critical("a job met a defect: %s", type(error).__name__, exc_info=error)
            self._give_up(job, DEFECT)
        else:
            self._queue.succeed(job, self._liveness.process, outcome)

    def _add(self, job: StoredJob) -> str:
        # An accepted job is done even if its caller's key was revoked since.
        principal = Principal(job.asked_by, json.loads(job.bound))
        asked = validated(AddRequest, json.loads(job.body or "{}"), principal)
        by_0_1 = asked.fingerprint_by_0_1()
        key = IdempotencyKey(job.caller, job.key, job.fingerprint, by_0_1, job.id)
        accepted_at = written_down(datetime.fromtimestamp(job.accepted_at, UTC))
        return self._adding.run(principal, asked, key, said_at=accepted_at).to_json()

    def _failed(self, job: StoredJob, error: ServiceError) -> None:
        seconds = pause(error, job.attempts, time.time() - job.accepted_at)
        failure = Failure.of(error)
        if seconds is None:
            log.error("a job failed: %s: %s", error.code, error.detail)
            self._give_up(job, failure)
            return
        log.warning("a job is tried again in %.0f s: %s: %s", seconds, error.code, error.detail)
        JOBS_RETRIED.labels(error.code).inc()
        self._queue.put_off(job, self._liveness.process, failure.to_json(), time.time() + seconds)

    def _give_up(self, job: StoredJob, failure: Failure) -> None:
        later = time.time() + back_off(job.attempts)
        self._queue.fail(job, self._liveness.process, failure.to_json(), later)
