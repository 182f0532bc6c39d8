"""The runs of the report's tests, whose tables the figures are drawn from."""

from __future__ import annotations

from report.conftest import full_folder, make_run, run_folder

__all__ = ["full_folder", "make_run", "run_folder"]
