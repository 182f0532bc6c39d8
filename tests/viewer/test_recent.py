from __future__ import annotations

import pytest

from survfuse.viewer.recent import Recent


def test_what_was_not_used_for_longest_is_made_again() -> None:
    made: list[str] = []

    def ask(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key.upper())  # type: ignore[func-returns-value]

    recent: Recent[str, str] = Recent(2)
    assert [ask(key) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
    assert len(recent) == 2


def test_what_cannot_be_made_is_not_kept() -> None:
    recent: Recent[str, int] = Recent(2)
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 // 0)
    assert len(recent) == 0
