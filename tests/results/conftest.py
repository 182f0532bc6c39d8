"""The made-up run of the report's tests."""

from __future__ import annotations

from report.conftest import make_run

__all__ = ["make_run"]
