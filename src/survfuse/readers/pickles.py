"""Pickles of plain values, read by an interpreter of our own: nothing is imported or constructed.

It knows the operations of pickle protocol 2 that `torch.save` writes. What a file may name is a
table of functions that the caller gives; all of them only store their arguments, so that no
operation makes more than it takes from the file.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any

MOST_OPERATIONS = 1_000_000
"""Of one pickle; a tensor takes forty, a list of 400,000 texts 800,000."""
_LONGEST_KEY = 8  # values of a tuple that is a key


def read_pickle(
    file: IO[bytes],
    names: Callable[[str], Any],
    stored: Callable[[Any], Any],
) -> Any:
    """Read the pickle that begins at the position of a file.

    Parameters
    ----------
    file : binary file
        In memory: sizes that a pickle claims are then bounded by it.
    names : callable
        Gives what represents ``module.name``; raises ValueError for what is not read.
    stored : callable
        Gives what represents a persistent id.

    Raises
    ------
    ValueError and others
        For anything that is no pickle of plain values: to be caught by
        :func:`survfuse._gate.boundary`.
    """
    machine = _Machine(names, stored)
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if count >= MOST_OPERATIONS:
            raise ValueError(f"more than {MOST_OPERATIONS} operations")
        machine.run(operation.name, argument)
    return machine.stack.pop()


class _Machine:
    """The stack of values, the stacks set aside by marks, and the values that are used again."""

    def __init__(
        self,
        names: Callable[[str], Any],
        stored: Callable[[Any], Any],
    ) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.from_argument: dict[str, Callable[[Any], Any]] = {
            "GLOBAL": lambda text: names(text.replace(" ", ".")),
            "BINGET": self.memo.__getitem__,
            "LONG_BINGET": self.memo.__getitem__,
            **dict.fromkeys(_VALUES, lambda value: value),
        }
        self.from_values = {**_FROM_VALUES, "BINPERSID": (1, lambda v: stored(v[0]))}

    def run(self, name: str, argument: Any) -> None:
        """Perform one operation."""
        if name == "MARK":
            self.marks.append(self.stack)
            self.stack = []
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in self.from_argument:
            self.stack.append(self.from_argument[name](argument))
        elif name in self.from_values:
            count, make = self.from_values[name]
            value = make(self.take(count))
            self.stack.append(value)
        elif name in _CHANGES:
            count, change = _CHANGES[name]
            values = self.take(count)
            change(self.stack[-1], values)
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"operation {name} is not read, expected protocol 2")

    def take(self, count: int | None) -> list[Any]:
        """Take values off the stack, by default those since the last mark."""
        if count is None:
            values, self.stack = self.stack, self.marks.pop()
            return values
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("an operation on more values than there are")
        values = self.stack[start:]
        del self.stack[start:]
        return values


def _call(values: list[Any]) -> Any:
    function, arguments = values
    if not isinstance(arguments, tuple):
        raise ValueError("arguments that are no tuple")
    return function(*arguments)


def _set_state(target: Any, values: list[Any]) -> None:
    if hasattr(target, "take_state"):
        target.take_state(values[0])


def _set_items(target: Any, values: list[Any]) -> None:
    for key, value in zip(values[::2], values[1::2], strict=True):
        if isinstance(target, dict):
            _check_key(key)
            target[key] = value


def _extend(target: Any, values: list[Any]) -> None:
    if not isinstance(target, list):
        raise ValueError("values are added to what is no list")
    target.extend(values)


def _check_key(key: Any) -> None:
    """Refuse keys that are slow to compare: deep tuples, and numbers that may collide."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > _LONGEST_KEY:
        raise ValueError(f"a key of {len(parts)} values")
    for part in parts:
        plain = part is None or type(part) in (str, bytes, bool, float)
        if not plain and not (type(part) is int and -(2**63) <= part < 2**63):
            raise ValueError(
                f"a key of type {type(part).__name__}, expected text or a number",
            )


_VALUES = frozenset(
    [
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINSTRING",
    ],
)
# number of values that an operation takes (None: all since the mark), and what it does with them
_FROM_VALUES: Mapping[str, tuple[int | None, Callable[[list[Any]], Any]]] = {
    "NONE": (0, lambda _: None),
    "NEWTRUE": (0, lambda _: True),
    "NEWFALSE": (0, lambda _: False),
    "EMPTY_LIST": (0, list),
    "EMPTY_DICT": (0, dict),
    "EMPTY_TUPLE": (0, tuple),
    "TUPLE1": (1, tuple),
    "TUPLE2": (2, tuple),
    "TUPLE3": (3, tuple),
    "TUPLE": (None, tuple),
    "REDUCE": (2, _call),
}
_CHANGES: Mapping[str, tuple[int | None, Callable[[Any, list[Any]], None]]] = {
    "BUILD": (1, _set_state),
    "SETITEM": (2, _set_items),
    "SETITEMS": (None, _set_items),
    "APPEND": (1, _extend),
    "APPENDS": (None, _extend),
}
