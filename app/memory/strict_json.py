"""A strict JSON decoder: no duplicate keys, no NaN, no numbers that become infinite."""

import json
import math
from typing import Any

from app.errors import FieldError, InvalidRequest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            error = FieldError(key, "is given twice")
            raise InvalidRequest("An object has the same key twice.", [error])
        result[key] = value
    return result


def _constant(name: str) -> Any:
    raise InvalidRequest(f"{name} is not JSON.")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise InvalidRequest("A number is too large.")
    return value


# Made once, because json.loads would make a decoder for each body.
STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
"""Raises InvalidRequest, and what Python's own decoder raises."""
