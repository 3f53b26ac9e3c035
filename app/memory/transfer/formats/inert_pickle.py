"""Reads pickles of plain values, without calling any function that they name.

A pickle is a program, which may name and call any function. Here each name becomes Inert, a class
that stores its state and does nothing, so that only dicts, lists, texts and numbers are made. (A
malicious pickle can still use up the memory.)
"""

import io
import pickle
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 16 * 1024 * 1024  # a point is a vector and some text
MAX_VALUES = 100_000  # in a payload


class Unsafe(Exception):
    """The data is no pickle, or has other than plain values."""


class Inert:
    """Stands for an object of any class, and for the result of any function."""

    state: Any = None

    def __init__(self, *given: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def fields(self) -> dict[str, Any]:
        """The fields, where this was a pydantic model or another plain object."""
        state = self.state if isinstance(self.state, Mapping) else {}
        inner = state.get("__dict__", state)
        return dict(inner) if isinstance(inner, Mapping) else {}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Inert]:
        return Inert


def loads(data: bytes) -> Any:
    """The value in `data`, with Inert for each object that is not plain. Raises Unsafe."""
    if len(data) > MAX_BYTES:
        raise Unsafe
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception:  # a broken pickle raises nearly anything
        raise Unsafe from None


def plain(value: Any) -> Any:
    """`value`, made of values that JSON has. Raises Unsafe for other values, and for more than
    MAX_VALUES of them in all, as in a list that contains itself."""
    return _Plain().of(value)


class _Plain:
    def __init__(self) -> None:
        self._left = MAX_VALUES

    def of(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise Unsafe
        if isinstance(value, dict):
            return {self._key(key): self.of(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(one) for one in value]
        if value is None or isinstance(value, str | int | float):
            return value
        raise Unsafe

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise Unsafe
        return key
