"""The threads that run jobs: one that claims due jobs, and a bounded pool that runs them."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from app.errors import ServiceError
from app.memory.jobs.job import Failure
from app.memory.jobs.retrying import back_off, pause_after_interruption
from app.storage.history.job_queue import JobQueue
from app.storage.history.job_rows import StoredJob
from app.storage.journal.liveness import Liveness

log = logging.getLogger(__name__)

ROUND_S = 1.0
"""Seconds between two looks for due jobs: those of other processes, and those that waited."""
LOST = Failure(
    "internal_error", "The service ended each time that this job was at work; its log may say why."
)


class JobRunner:
    """Runs due jobs until it is closed."""

    def __init__(
        self,
        queue: JobQueue,
        work: Callable[[StoredJob], None],
        liveness: Liveness,
        size: int,
        ended: Callable[[str], None],
    ) -> None:
        """`size` jobs run at once; `ended` is called with the id of each job after its run."""
        self._queue = queue
        self._work = work
        self._liveness = liveness
        self._size = size
        self._ended = ended
        self._pool = ThreadPoolExecutor(size, "job")
        self._changing = threading.Lock()
        self._running: set[str] = set()
        self._looked = 0.0
        self._waits_for: str | None = None
        self._end = threading.Event()
        self._wake = threading.Event()
        self.failure: str | None = None
        """The name of the unexpected exception that the last round failed with."""
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for due jobs now."""
        self._wake.set()

    def close(self) -> None:
        """Begin no more jobs, and wait for those that run."""
        self._end.set()
        self._wake.set()
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._end.is_set():
            self.failure = self._failed_round()
            self._wake.wait(ROUND_S)
            self._wake.clear()

    def _failed_round(self) -> str | None:
        try:
            if time.monotonic() - self._looked >= ROUND_S:
                self._look_after()
                self._looked = time.monotonic()
            with self._changing:
                free = self._size - len(self._running)
            for job in self._queue.claim(self._liveness.process, free) if free else ():
                self._begin(job)
        except ServiceError as error:
            if self._waits_for != error.code:  # logged once, and not each second
                log.warning("no jobs are begun: %s", error.code)
            self._waits_for = error.code
        except Exception as error:
            # No error may end this thread, because it runs all jobs.
            log.critical("a round of the jobs failed: %s", type(error).__name__, exc_info=error)
            return type(error).__name__
        else:
            self._waits_for = None
        return None

    def _begin(self, job: StoredJob) -> None:
        with self._changing:
            self._running.add(job.id)
        try:
            self._pool.submit(self._run_one, job)
        except RuntimeError:  # the interpreter shuts down; the next process runs the job
            self._end.set()
            self._queue.put_off(job, self._liveness.process, job.outcome, job.due_at)

    def _run_one(self, job: StoredJob) -> None:
        try:
            self._work(job)
        except ServiceError as error:
            log.warning("the end of a job is not written down yet: %s", error.code)
        except Exception as error:  # the pool would swallow it
            log.critical("a job met a defect: %s", type(error).__name__, exc_info=error)
        finally:
            with self._changing:
                self._running.discard(job.id)
            self._ended(job.id)
            self._wake.set()

    def _look_after(self) -> None:
        """Make jobs pending again that count as running but are not: those of dead processes, and
        those of this process whose end could not be stored."""
        mine = self._liveness.process
        others = {*self._queue.processes()} - {mine}
        for process in self._liveness.dead_among(others):
            with self._liveness.if_dead(process) as dead:
                if dead:
                    self._queue.interrupted(process, pause_after_interruption, LOST.to_json())
        for job in self._queue.running(mine):
            with self._changing:
                is_running = job.id in self._running
            if not is_running:
                later = time.time() + back_off(job.attempts)
                self._queue.put_off(job, mine, job.outcome, later)
