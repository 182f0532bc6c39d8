"""Pickles, operation by operation: what would take memory or time is refused before it does."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest

from survfuse.readers import pickles
from survfuse.readers.pickles import read_pickle


def names(name: str) -> Any:
    if name != "kept.values":
        raise ValueError(f"it holds {name}")
    return lambda *values: values


def load(operations: bytes) -> Any:
    return read_pickle(
        io.BytesIO(b"\x80\x02" + operations + b"."),
        names,
        lambda saved_id: ("stored", saved_id),
    )


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@pytest.mark.parametrize(
    ("operations", "value"),
    [
        (b"(K\x01M\x00\x02J\xff\xff\xff\xff\x8a\x01\x80t", (1, 512, -1, -128)),
        (b"](K\x01K\x02e", [1, 2]),
        (b"}(" + text("a") + b"NK\x03\x88u", {"a": None, 3: True}),
        (b"}" + text("a") + b"\x89s", {"a": False}),
        (b"]" + b"G" + struct.pack(">d", 0.5) + b"a", [0.5]),
        (b"ckept\nvalues\nK\x01K\x02\x86R", (1, 2)),
        (text("key") + b"Q", ("stored", "key")),
        (b"K\x05r\x00\x00\x00\x7fj\x00\x00\x00\x7f\x86", (5, 5)),
        (b"U\x02ab\x85", ("ab",)),
        (b"K\x01K\x02K\x03\x87", (1, 2, 3)),
        (b"}(K\x01" + text("a") + b"tNs", {(1, "a"): None}),
        (b"}Nb", {}),
    ],
)
def test_plain_values(operations: bytes, value: Any) -> None:
    assert load(operations) == value


def test_where_a_pickle_ends_the_next_begins() -> None:
    file = io.BytesIO(b"\x80\x02K\x01.\x80\x02K\x02.")
    assert [read_pickle(file, names, tuple) for _ in range(2)] == [1, 2]


def doubled(times: int) -> bytes:
    """A tuple of itself twice, again and again: 2 ** times values to whoever walks it."""
    return b")" + b"".join(
        b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(times)
    )


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (b"cposix\nsystem\n", "it holds posix.system"),
        (b"c" + b"a" * 300 + b"\n", "it holds aaa|no newline found"),
        (b"}" + doubled(60) + b"Ns", "a key of type tuple"),
        (b"})" + b"\x85" * 100_000 + b"Ns", "a key of type tuple"),
        (b"}\x8a\x09" + bytes(8) + b"\x01Ns", "a key of type int"),
        (b"}]Ns", "a key of type list"),
        (b"}(" + b"N" * 9 + b"tNs", "a key of 9 values"),
        (b"K\x01Na", "values are added to what is no list"),
        (b"ckept\nvalues\nK\x01R", "arguments that are no tuple"),
        (b"\x85", "on more values than there are"),
        (b"}(Nu", "argument 2 is shorter"),
        (b"\x8b\xff\xff\xff\x7f", "not enough data"),
        (b"\x8e" + struct.pack("<Q", 2**60), "but only 1 remain"),
        (b"\x8c\x01a", "operation SHORT_BINUNICODE is not read"),
    ],
)
def test_what_is_refused(operations: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(operations)


@pytest.mark.parametrize(
    "operations",
    [b"X\xff\xff\xff\xffab", b"\x8a\xff", b"J\x00", b"N" * 3],
)
def test_a_cut_pickle_takes_no_memory(operations: bytes) -> None:
    with pytest.raises(ValueError, match=r"remain|not enough data|exhausted before"):
        read_pickle(io.BytesIO(operations), names, tuple)


def test_too_many_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 1000)
    assert load(b"(" + b"]" * 900 + b"t")
    with pytest.raises(ValueError, match="more than 1000 operations"):
        load(b"(" + b"]" * 1000 + b"t")
