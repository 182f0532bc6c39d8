"""The result of a run: one schema of its tables and records, written to and read from a folder."""

from __future__ import annotations

from survfuse.results.result import Result

__all__ = ["Result"]
