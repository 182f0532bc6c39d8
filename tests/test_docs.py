"""The reference pages say what the code says."""

from __future__ import annotations

from pathlib import Path

from survfuse.config import FitConfig, renamed_markdown, to_markdown
from survfuse.models.fusion import FUSIONS, FusionSizes, parameter_table

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_configuration_page_is_generated_from_the_code() -> None:
    """Write it again with `to_markdown` after changing a field."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert to_markdown() in page
    assert renamed_markdown() in page


def test_fusions_page_counts_what_the_code_builds() -> None:
    """Paste `parameter_table` again after changing a fusion or a default."""
    page = (DOCS / "fusions.md").read_text(encoding="utf-8")
    fit, paper = FitConfig(), FitConfig.of("paper")
    for config, widths in (
        (fit, {"slides": fit.bag_width, "expression": 32, "clinical": 5}),
        (
            paper,
            {
                "slides": paper.bag_width,
                "expression": paper.vector_hidden[-1],
                "clinical": 5,
            },
        ),
    ):
        sizes = FusionSizes(
            rank=config.rank,
            pair_width=config.pair_width,
            raw_pair_width=config.raw_pair_width,
            residual_width=config.residual_width,
            tensor_width=config.tensor_width,
            query_tokens=config.query_tokens,
        )
        assert (
            parameter_table(widths, ("slides", "expression"), sizes, ("slides",))
            in page
        )
    assert all(f"\n| `{name}` | " in page for name in FUSIONS)
    assert all(
        f"`{name}`" in (FitConfig.model_fields["fusion"].description or "")
        for name in FUSIONS
    )
