"""The report of a run: one HTML file that needs no network and no script."""

from __future__ import annotations

from resilient_ai.cli.demo.report.page import Environment, page

__all__ = ["Environment", "page"]
