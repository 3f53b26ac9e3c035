"""The requests of the operations on jobs."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from app.memory.fields import Limit, MemoryId, Omittable
from app.memory.validation import Request, Scoped

MAX_WAIT_S = 20


def _number(value: object) -> object:
    """`value` as a number, where it is the text of one: in a query all values are texts."""
    is_whole = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
    return int(str(value)) if is_whole else value


class JobsRequest(Scoped):
    status: Omittable[Literal["pending", "running", "succeeded", "failed", "cancelled"]] = None
    limit: Annotated[Limit, BeforeValidator(_number)] = 50
    cursor: Omittable[MemoryId] = None


class WaitRequest(Request):
    wait: Annotated[int, Field(ge=0, le=MAX_WAIT_S), BeforeValidator(_number)] = 0
