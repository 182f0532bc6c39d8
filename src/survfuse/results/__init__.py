"""The result of a run: one schema of its tables and records, written to and read from a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from survfuse.results.result import Result

__all__ = ["Result"]


def __getattr__(name: str) -> Any:
    """Import the result when it is asked for: whether a folder is taken is known without pandas."""
    if name != "Result":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from survfuse.results.result import Result

    return Result
