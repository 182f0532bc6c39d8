from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from small_explanations import (
    cohort_file,
    fitted_model,
    measured_explanation,
    small_explanation,
)
from survfuse._errors import NotComputableError
from survfuse.cohort import load_cohort
from survfuse.cohort.labels import Labels
from survfuse.explanations import Explanation, explain
from survfuse.report import explanation_page
from survfuse.report.explanation_page import cluster_rows, render, write_page


def record(**changed: Any) -> dict[str, Any]:
    return {
        "cohort": "tiny <cohort>",
        "patients": 24,
        "largest_difference": 2e-16,
        "exact": True,
        "reference": {"patients": 24, "from": "of the training cohort"},
        "notes": ["a <note>"],
        "damaged": {},
        "tables": {
            "terms": {"files": ["terms.csv"], "rows": 24, "a_row_is": "a patient"}
        },
        "left_out": {"gene_sets": "none"},
        "bundle": {"path": "b", "sha256": "0" * 64},
        "versions": {"survfuse": "1"},
        **changed,
    }


def plain(html: str) -> str:
    body = html[html.index("<body>") :]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_page_needs_nothing_but_itself_and_escapes_texts(tmp_path: Path) -> None:
    page = write_page(tmp_path, small_explanation(), record())
    html = page.read_text(encoding="utf-8")
    assert page.name == "explanation.html"
    assert "tiny &lt;cohort&gt;" in html
    assert "a &lt;note&gt;" in html
    assert not re.findall(r"<script|https?://|<img|<link|@import", html)
    assert "default-src 'none'" in html


def test_it_shows_shares_terms_and_files() -> None:
    text = plain(render(small_explanation(), record(), {}))
    assert "largest difference 2e-16, nothing is sampled" in text
    shares = small_explanation().shares.set_index("term")["share"]
    assert f"clinical {shares['clinical']:.2f}".replace("-", "−") in text
    assert text.count("agreement was not measured") == 3
    assert "terms.csv 24 rows; each is a patient." in text
    assert "gene_sets not written: none" in text
    for patient in small_explanation().patients:
        assert f" {patient} " in text


def test_terms_are_called_by_the_words_of_the_cohort_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explanation = small_explanation()
    words = Labels({("clinical",): "Clinical <variables>"})
    monkeypatch.setitem(vars(explanation.explained), "labels", words)
    html = render(explanation, record(), {})
    assert "Clinical &lt;variables&gt;</span>" in html
    assert ">clinical<" not in html


def test_what_does_not_reproduce_is_grey_and_said() -> None:
    html = render(measured_explanation(), record(), {})
    rows = re.findall(r'<tr class="grey"><th scope="row">(.*?)</th>', html)
    assert [re.sub(r"<.*?>", "", row) for row in rows] == ["expression"]
    assert "another cohort of this size would give other values of this term" in html
    assert html.count('<td class="r grey">') == 24
    assert re.search(
        r"slides</span></th>.*?<td>too few half models use it, [^<]*</td></tr>", html
    )
    assert "Grey terms do not reproduce." in html


def test_only_the_first_patients_and_notes_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explanation_page, "MOST_PATIENTS", 3)
    monkeypatch.setattr(explanation_page, "MOST_NOTES", 2)
    notes = [f"note {number}" for number in range(5)]
    text = plain(render(small_explanation(), record(notes=notes), {}))
    assert "The first 3 of 24 patients; all are in terms.csv." in text
    assert " 004 " not in text
    assert "note 1 3 more in explanation.json" in text


def test_damage_and_sampling_are_said() -> None:
    damaged = {"004": "slide a is broken"}
    text = plain(render(small_explanation(), record(damaged=damaged, exact=False), {}))
    assert "Patients who are not explained 004 : slide a is broken" in text
    assert "single terms are averages over draws" in text


def test_shares_that_cannot_be_computed_say_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: Explanation) -> None:
        raise NotComputableError("why")

    monkeypatch.setattr(Explanation, "shares", property(fail))
    explanation = explain(fitted_model(), load_cohort(cohort_file()))
    text = plain(render(explanation, record(left_out={"shares": "nobody differs"}), {}))
    assert "Shares were not computed: nobody differs." in text


def test_clusters_are_shown_with_their_pictures() -> None:
    table = pd.DataFrame(
        {
            "patient_id": ["A", "A", "B"],
            "modality": "slides",
            "cluster": [0, 1, 1],
            "share": [0.4, 0.6, 1.0],
            "contribution": [0.0, 0.1, 0.2],
            "tile_risk": [-1.0, 2.0, 1.0],
        },
    )
    explanation = small_explanation()
    rows = cluster_rows(table, explanation)["slides"]
    assert [row["cluster"] for row in rows] == [1, 0]
    assert [row["share"] for row in rows] == pytest.approx([0.8, 0.2])
    assert [row["risk"] for row in rows] == pytest.approx([2.2 / 1.6, -1])
    assert [row["pictures"] for row in rows] == [[], []]  # this cohort has no images
    text = plain(render(explanation, record(), {"slides": rows}))
    assert "Tiles of slides that look alike" in text
    assert "Pictures need the images of the slides" in text
    html = render(
        explanation, record(), {"slides": [{**rows[0], "pictures": ["QQ=="]}]}
    )
    assert 'alt="tile of cluster 1" src="data:image/png;base64,QQ=="' in html


def test_maps_are_linked_and_slides_without_one_are_named() -> None:
    row = {"patient_id": "P<1>", "slide_id": "S1", "tiles": 1200}
    pictures = {"tile_risk": "P1/S1.tile_risk.png"}
    failed = {"patient_id": "P2", "slide_id": "S2", "reason": "it is <broken>"}
    maps = {
        "folder": "maps",
        "slides": [{**row, "pictures": pictures}],
        "blank": {"slides": "the model leaves it out"},
        "failed": [failed],
    }
    html = render(small_explanation(), record(maps=maps), {})
    assert '<a href="maps/P1/S1.tile_risk.png">tile risk</a>' in html
    text = plain(html)
    assert "P&lt;1&gt; S1 1,200 tile risk" in text
    assert "P2, S2: it is &lt;broken&gt;" in text
    assert "No maps of slides: the model leaves it out" in text
    assert "Maps of slides" not in plain(render(small_explanation(), record(), {}))
