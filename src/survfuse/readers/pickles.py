"""Pickles of plain values, read by an interpreter of our own: nothing is imported and no object is made.

It knows the operations of pickle protocol 2 that `torch.save` writes. What a file may name is a table
of functions that the caller gives; all of them only keep their arguments, so that no operation makes
more than it takes from the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

MOST_OPERATIONS = 1_000_000
"""Of one pickle; a tensor takes forty, a list of 400,000 texts 800,000."""
_LONGEST_NAME = 200
_LONGEST_KEY = 8  # values of a tuple that is a key

Names = Callable[[str], Any]
"""From ``module.name`` to what stands for it; raises ValueError for what is not read."""


def read_pickle(
    data: bytes,
    names: Names,
    stored: Callable[[Any], Any],
    start: int = 0,
) -> tuple[Any, int]:
    """Read one pickle.

    Parameters
    ----------
    data : bytes
        Where it lies.
    names : callable
        Gives what stands for a name in the file.
    stored : callable
        Gives what stands for a persistent id.
    start : int
        Where it begins.

    Returns
    -------
    value, end
        The value, and where the pickle ends.

    Raises
    ------
    ValueError, EOFError and others
        For anything that is no pickle of plain values: to be caught by :func:`survfuse._gate.boundary`.
    """
    machine = _Machine(data, names, stored, start)
    return machine.run(), machine.at


class _Machine:
    def __init__(
        self,
        data: bytes,
        names: Names,
        stored: Callable[[Any], Any],
        start: int,
    ) -> None:
        self.data, self.names, self.stored, self.at = data, names, stored, start
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MOST_OPERATIONS):
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise ValueError(
                    f"operation {code!r} is not read, protocol 2 was expected",
                )
            operation(self)
        raise ValueError(f"more than {MOST_OPERATIONS} operations")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise EOFError("it is cut")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_NAME)
        if end < 0:
            raise ValueError(f"a name of more than {_LONGEST_NAME} letters")
        text = self.data[self.at : end].decode()
        self.at = end + 1
        return text

    def since_mark(self) -> list[Any]:
        values = self.stack
        self.stack = self.marks.pop()
        return values

    def push(self, value: Any) -> None:
        self.stack.append(value)

    # -- operations

    def version(self) -> None:
        self.take(1)  # what later versions brought is refused where it comes

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def name(self) -> None:
        self.push(self.names(f"{self.line()}.{self.line()}"))

    def call(self) -> None:
        values = self.stack.pop()
        function = self.stack.pop()
        if not isinstance(values, tuple):
            raise ValueError("arguments that are no tuple")
        self.push(function(*values))

    def build(self) -> None:
        state = self.stack.pop()
        take_state = getattr(self.stack[-1], "take_state", None)
        if take_state is not None:
            take_state(state)

    def set_items(self) -> None:
        values = self.since_mark()
        for key, value in zip(values[::2], values[1::2], strict=True):
            self.set_item(key, value)

    def set_one(self) -> None:
        value = self.stack.pop()
        self.set_item(self.stack.pop(), value)

    def set_item(self, key: Any, value: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target[_plain_key(key)] = value

    def append(self) -> None:
        value = self.stack.pop()
        self.list_on_top().append(value)

    def extend(self) -> None:
        values = self.since_mark()
        self.list_on_top().extend(values)

    def list_on_top(self) -> list[Any]:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("values are added to what is no list")
        return target

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("a tuple of more values than there are")
        self.stack[-count:] = [tuple(self.stack[-count:])]


def _plain_key(key: Any) -> Any:
    """Refuse keys that take long to compare: deep tuples, and numbers beyond 64 bits, which may collide."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > _LONGEST_KEY:
        raise ValueError(f"a key of {len(parts)} values")
    for part in parts:
        plain = part is None or type(part) in (str, bytes, bool, float)
        if not plain and not (type(part) is int and -(2**63) <= part < 2**63):
            raise ValueError(
                f"a key of type {type(part).__name__}, expected text or a number",
            )
    return key


_OPERATIONS: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.version,
    b"(": _Machine.mark,
    b"c": _Machine.name,
    b"R": _Machine.call,
    b"b": _Machine.build,
    b"Q": lambda m: m.push(m.stored(m.stack.pop())),
    b"s": _Machine.set_one,
    b"u": _Machine.set_items,
    b"a": _Machine.append,
    b"e": _Machine.extend,
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(
        int.from_bytes(m.take(m.number("B")), "little", signed=True),
    ),
    b"G": lambda m: m.push(m.number(">d")),
    b"X": lambda m: m.push(str(m.take(m.number("<I")), "utf-8", "surrogatepass")),
    b"U": lambda m: m.push(m.take(m.number("B")).decode()),
    b"h": lambda m: m.push(m.memo[m.number("B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"q": lambda m: m.memo.__setitem__(m.number("B"), m.stack[-1]),
    b"r": lambda m: m.memo.__setitem__(m.number("<I"), m.stack[-1]),
}
