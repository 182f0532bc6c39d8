"""A cohort on the screen."""

from __future__ import annotations

from frames import bags, expression, made, patients
from survfuse.cohort import Cohort


def test_the_text_is_short_and_says_what_is_there() -> None:
    table = patients()
    tables = {f"panel{n}": expression(table).add_suffix(f"_{n}") for n in range(7)}
    cohort = made(
        table,
        clinical=["age", "asa"],
        expression=expression(table),
        expression_unit="log2tpm",
        bags={"slides": bags(table)},
        tables=tables,
        groups="site",
    )
    text = repr(cohort)
    assert len(text.splitlines()) < 15
    assert max(map(len, text.splitlines())) <= 160
    first = text.splitlines()[0]
    assert first.startswith("Cohort 'cohort': 40 patients, 20 events (dead, months)")
    assert "groups site" in first
    assert (
        "clinical     clinical    39 patients, 2 columns" not in text
    )  # one lacks age alone
    assert "clinical     clinical    40 patients, 2 columns" in text
    assert "and 4 more modalities" in text
    assert "taken as numbers: asa (1, 2, 3, 4)" in text


def test_a_cohort_without_outcome_says_so() -> None:
    cohort = Cohort.from_frames(clinical=patients()[["patient_id", "age"]])
    assert repr(cohort).startswith("Cohort 'cohort': 39 patients, no outcome")
    assert "39 patients, 1 column\n" in repr(cohort)


def test_what_a_table_says_is_escaped() -> None:
    table = patients().rename(columns={"age": "<script>alert(1)</script>"})
    cohort = made(
        table,
        clinical=["<script>alert(1)</script>"],
        name="<b>bold</b>",
        endpoint="a & b\x1b",
    )
    html = cohort._repr_html_()
    assert "<script>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "a &amp; b" in html
    assert "<td>clinical</td><td>39</td><td>1 column</td>" in html.replace(
        "<td>clinical</td><td>clinical</td>", "<td>clinical</td>"
    )
    assert "\x1b" not in repr(cohort)
