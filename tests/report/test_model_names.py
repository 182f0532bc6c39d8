from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from report.reading import Page
from survfuse.report.model_names import model_title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("km", "Kaplan–Meier, no variables"),
        ("default:anchored", "anchored stack"),
        ("default:concat", "network, concat fusion"),
        ("paper:pairwise", "network, pairwise fusion (as in the paper)"),
        ("default:ridge_cox", "ridge Cox"),
        ("ridge:clinical", "clinical variables alone (ridge Cox)"),
        ("ridge:clinical+rna", "clinical and rna in one table (ridge Cox)"),
        ("late:all", "late fusion of all modalities"),
        ("late:a+b+c", "late fusion of a, b and c"),
        ("late:-clinical", "late fusion without clinical"),
        ("network:slides", "the model with slides alone"),
        ("network:-slides", "the model without slides"),
        ("network:-atlas-tcga", "the model without atlas and tcga"),
        ("permuted:rna", "the model given rna of other patients"),
        ("seed:2024", "the model, seed 2024"),
        ("removed:slides", "the model, without slides"),
        ("only:slides", "the model, with slides alone"),
        ("missing:25", "the model, with 25% of clinical values missing"),
        ("their nomogram", "their nomogram"),
        ("nomogram: 2019", "nomogram: 2019"),
        ("ridge:", "ridge:"),
    ],
)
def test_a_key_becomes_words_and_a_foreign_name_stays(name: str, title: str) -> None:
    assert model_title(name) == title


def test_keys_stand_beside_the_words_in_the_tables_of_models_alone(
    full: Page,
    full_folder: Path,
) -> None:
    told = json.loads((full_folder / "report.json").read_text())
    assert told["model_titles"]["ridge:rna"] == "rna alone (ridge Cox)"
    text = (full_folder / "report.html").read_text(encoding="utf-8")
    seen = re.sub(r"<svg.*?</svg>|<pre>.*?</pre>", "", text, flags=re.DOTALL)
    keys = re.findall(r">[^<]*\b((?:ridge|default|network):[-\w]+)", seen)
    in_code = re.findall(r"<code>(?:ridge|default|network):", seen)
    notes = [word for word in full.words if "default:concat, repeat 1" in word]
    assert len(keys) == len(in_code) + len(notes)
