"""The settings that the MemoryService itself needs."""

from dataclasses import dataclass, field
from typing import Self

from app.config import Settings
from app.memory.jobs import JobLimits


@dataclass(frozen=True)
class ServiceOptions:
    instructions: str | None = None
    """CUSTOM_INSTRUCTIONS, for the LLM."""
    flush_seconds: float = 5
    """Seconds between two rounds of maintenance, which flush the store."""
    llm_concurrency: int = 128
    """How many adds may wait for the LLM at once."""
    reembeds: bool = True
    """Whether the service embeds memories and makes words again by itself."""
    job_limits: JobLimits = field(default_factory=JobLimits)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            instructions=settings.custom_instructions,
            flush_seconds=settings.flush_seconds,
            llm_concurrency=settings.llm_places,
            reembeds=settings.reembeds,
            job_limits=JobLimits(
                waiting=settings.max_jobs,
                at_once=settings.jobs_at_once,
                kept_days=settings.jobs_kept_days,
                waiters=settings.threads // 8,
            ),
        )


DEFAULTS = ServiceOptions()
