"""The report of a run: tables of a fixed schema, figures drawn from them, one page that judges."""

from __future__ import annotations

from survfuse.report.page import try_page, write_report

__all__ = ["try_page", "write_report"]
