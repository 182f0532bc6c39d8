from __future__ import annotations

from pathlib import Path

import pytest

from survfuse._errors import InputError
from survfuse.readers.priors import USUAL_SLOPE, USUAL_SPREAD
from survfuse.readers.signatures import read_signature


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "signature.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "TP53\t0.5\nEGFR\t-2\n",
        "gene\tweight\nTP53\t0.5\nEGFR\t-2\n",
        "# Doe 2020\n\nTP53\t0.5\n EGFR \t -2 \n",
        "doe\tlung\tTP53,0.5\tEGFR,-2\n",
        "TP53\t0.5\t\t\nEGFR\t\u22122\n",
        "doe\tlung\tTP53,0.5\tEGFR,-2\t\t\n",
    ],
    ids=["plain", "header", "comments", "gmt", "printed", "gmt of a spreadsheet"],
)
def test_every_way_of_writing_gives_the_same_weights(tmp_path: Path, text: str) -> None:
    prior = read_signature(written(tmp_path, text), name="doe", genes="symbol")
    assert prior.name == "doe"
    assert prior.gene_ids == "symbol"
    assert prior.genes == ("TP53", "EGFR")
    assert prior.weights.tolist() == [0.5, -2]
    assert prior.errors is None
    assert (prior.slope, prior.slope_spread) == (USUAL_SLOPE, USUAL_SPREAD)
    assert prior.patients == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TP53\t0.5\nTP53\t1\n", "line 2: gene 'TP53' appears twice"),
        (
            "TP53\t0.5\nEGFR\thigh\n",
            "line 2: the weight of 'EGFR' is no number, got 'h",
        ),
        ("TP53\t0.5\nEGFR\tnan\n", "line 2: the weight of 'EGFR' is no number"),
        ("TP53\tnan\nEGFR\t1\n", "line 1: the weight of 'TP53' is no number"),
        ("TP53\t0,5\nEGFR\t1\n", "line 1: .* got '0,5' .*decimal comma"),
        ("TP53\t1_0\nEGFR\t1\n", "line 1: the weight of 'TP53' is no number"),
        ("TP53\t1e300\nEGFR\t1\n", "expected the largest of them from .*1e.300"),
        ("TP53\t1e-200\n", "expected the largest of them from"),
        ("TP53 0.5\n", "line 1: expected GENE<tab>WEIGHT .*, got 'TP53 0.5'"),
        ("doe\tlung\tTP53\tEGFR,1\n", "line 1: expected GENE<tab>WEIGHT"),
        ("TP53\t0\n", "no gene has a weight other than 0.*got TP53"),
        ("gene\tweight\n", "no gene has a weight other than 0"),
        ("", "no gene has a weight other than 0.*got none"),
    ],
)
def test_what_is_no_signature_is_refused_with_its_line(
    tmp_path: Path,
    text: str,
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        read_signature(written(tmp_path, text), name="doe")
