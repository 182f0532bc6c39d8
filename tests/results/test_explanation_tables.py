from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from running import quick
from small_explanations import (
    cohort_file,
    measured_explanation,
    small_explanation,
)
from survfuse._errors import NotComputableError
from survfuse.cohort import load_cohort
from survfuse.explanations import Explanation, explain
from survfuse.explanations.agreement_tables import MEASURE
from survfuse.results.explanation_schema import TABLES
from survfuse.results.explanation_tables import (
    NOT_ASKED,
    NOTHING,
    Written,
    genes_table,
    points_table,
    terms_table,
    write_tables,
)

HORIZONS = (365.0, 1095.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def written(folder: Path) -> Written:
    return write_tables(measured_explanation(), folder, horizons=HORIZONS)


def test_every_table_is_written_or_its_absence_explained(
    folder: Path, written: Written
) -> None:
    assert {*written.rows, *written.left_out} == {table.name for table in TABLES}
    assert written.left_out.keys() == {"gene_sets", "excluded", "alone"}
    files = {name for table in written.described().values() for name in table["files"]}
    assert {path.name for path in folder.iterdir()} == files


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_files_have_the_columns_that_are_described(
    folder: Path, written: Written, table: object
) -> None:
    for name in table.files if table.name in written.rows else ():  # type: ignore[attr-defined]
        read = pd.read_csv if name.endswith(".csv") else pd.read_parquet
        frame = read(folder / name)
        assert list(frame.columns[: len(table.columns)]) == list(table.columns)  # type: ignore[attr-defined]
        assert len(frame) == written.rows[table.name]  # type: ignore[attr-defined]
        assert bool(table.others) or len(frame.columns) == len(table.columns)  # type: ignore[attr-defined]


def read(folder: Path, name: str) -> pd.DataFrame:
    path, texts = folder / f"{name}.csv", {"patient_id": str}
    return pd.read_csv(path, dtype=texts, float_precision="round_trip")


@pytest.mark.usefixtures("written")
def test_what_is_written_adds_up(folder: Path) -> None:
    terms = read(folder, "terms").set_index("patient_id")
    own = terms.drop(columns="log_risk")
    assert own.sum(axis=1).to_numpy() == pytest.approx(
        terms["log_risk"].to_numpy(), abs=1e-6
    )
    tiles = pd.read_parquet(folder / "tiles.parquet")
    clusters = read(folder, "clusters")
    of_tiles = tiles.groupby("patient_id")["contribution"].sum()
    of_clusters = clusters.groupby("patient_id")["contribution"].sum()
    assert of_tiles.to_numpy() == pytest.approx(of_clusters.to_numpy(), abs=1e-12)
    assert clusters.groupby("patient_id")["share"].sum().to_numpy() == pytest.approx(
        1.0
    )
    points = read(folder, "points")
    parts = points[["reference", "clinical", "expression", "slides"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(points["risk"].to_numpy(), abs=1e-9)
    assert len(points) == 2 * len(terms)
    variables = read(folder, "variables")
    summed = variables.groupby("patient_id")["contribution"].sum()
    assert summed.to_numpy() == pytest.approx(
        terms["clinical"].sort_index().to_numpy(), abs=1e-9
    )
    exact = pd.read_parquet(folder / "terms.parquet").set_index("patient_id")
    pd.testing.assert_frame_equal(exact, terms, check_exact=True)


@pytest.mark.usefixtures("written")
def test_clusters_added_up_on_the_way_are_those_of_the_explanation(
    folder: Path,
) -> None:
    expected = small_explanation().clusters
    found = read(folder, "clusters")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_without_tiles_all_else_is_written(tmp_path: Path) -> None:
    written = write_tables(small_explanation(), tmp_path, horizons=(), tiles=False)
    assert written.left_out["tiles"] == NOT_ASKED
    assert written.left_out["points"] == NOTHING
    assert written.left_out["agreement"] == written.left_out["growth"] == MEASURE
    assert not (tmp_path / "tiles.parquet").exists()
    assert written.rows["clusters"] == len(small_explanation().clusters)


def test_a_table_that_cannot_be_computed_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: Explanation) -> pd.DataFrame:
        raise NotComputableError("no hazard ratio: not linear")

    monkeypatch.setattr(Explanation, "hazard_ratios", property(fail))
    monkeypatch.setattr(
        Explanation, "excluded", property(lambda self: pd.DataFrame({"a": [1]}))
    )
    make = partial(
        write_tables, small_explanation(), tmp_path, horizons=(), tiles=False
    )
    with pytest.raises(
        ValueError, match=r"table excluded: column\(s\) \['term', 'reason', 'alone'\]"
    ):
        make()
    monkeypatch.undo()
    monkeypatch.setattr(Explanation, "hazard_ratios", property(fail))
    assert make().left_out["hazard_ratios"] == "no hazard ratio: not linear"


def test_progress_is_told_of_tiles_and_tables(tmp_path: Path) -> None:
    told = []
    write_tables(
        small_explanation(),
        tmp_path,
        horizons=(),
        step=lambda what, done, of: told.append((what, done, of)),
    )
    assert told[:2] == [("slides", 0, 24), ("slides", 1, 24)]
    assert ("terms", 0, 1) in told


def test_sampled_terms_and_members_have_their_uncertainty_beside_them() -> None:
    cohort = load_cohort(cohort_file())
    model = quick(fusion="gated", members=2).fit(cohort)
    table = terms_table(explain(model, cohort, cohort.patients[:3]))
    assert (table["se slides"] > 0).all()
    assert (table["sd slides"] > 0).all()
    plain = terms_table(small_explanation())
    assert list(plain) == ["log_risk", "constant", "clinical", "expression", "slides"]


def test_points_without_a_horizon_are_no_rows() -> None:
    assert points_table(small_explanation(), ()).empty
    table = points_table(small_explanation(), HORIZONS)
    assert np.unique(table["horizon"]).tolist() == [365.0, 1095.0]


def test_genes_have_the_share_of_half_models_that_list_them() -> None:
    assert "selected" not in genes_table(small_explanation())
    explained = measured_explanation().explained
    selected = {"expression": {"GENE3": 0.75}}
    agreement = replace(explained.fitted.agreement, selected=selected)
    fitted = replace(explained.fitted, agreement=agreement)
    table = genes_table(Explanation(replace(explained, fitted=fitted)))
    assert table.set_index("gene")["selected"].to_dict() == {
        f"GENE{number}": 0.75 if number == 3 else 0.0 for number in range(1, 13)
    }
