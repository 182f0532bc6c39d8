"""The reference pages say what the code says."""

from __future__ import annotations

from pathlib import Path

from survfuse.config import FitConfig, renamed_markdown, to_markdown
from survfuse.models.fusion import FusionSizes, card_table, parameter_table

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_configuration_page_is_generated_from_the_code() -> None:
    """Write it again with `to_markdown` after changing a field."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert to_markdown() in page
    assert renamed_markdown() in page


def test_fusions_page_counts_what_the_code_builds() -> None:
    """Paste `card_table` and `parameter_table` again after changing a fusion or a default."""
    page = (DOCS / "fusions.md").read_text(encoding="utf-8")
    fit, paper = FitConfig(), FitConfig.of("paper")
    for config, widths in (
        (fit, {"slides": fit.network.bag_width, "expression": 32, "clinical": 5}),
        (
            paper,
            {
                "slides": paper.network.bag_width,
                "expression": paper.network.vector_hidden[-1],
                "clinical": 5,
            },
        ),
    ):
        sizes = FusionSizes(
            rank=config.network.rank,
            pair_width=config.network.pair_width,
            raw_pair_width=config.network.raw_pair_width,
            residual_width=config.network.residual_width,
            tensor_width=config.network.tensor_width,
            query_tokens=config.network.query_tokens,
        )
        assert (
            parameter_table(widths, ("slides", "expression"), sizes, ("slides",))
            in page
        )
    assert card_table() in page
