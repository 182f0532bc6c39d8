"""The simulator: shapes, bytes, event share, the planted truth and the planted leak."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import ConfigError, InputError
from survfuse._storage import read_json
from survfuse.cohort import load_cohort
from survfuse.datasets import outcomes, simulate
from survfuse.datasets.population import (
    CLINICAL_COLUMNS,
    VST_FLOOR,
    draw_patients,
    gene_world,
)
from survfuse.readers.bags import BagStore

TINY = {"patients": 24, "tiles": 20, "tile_dim": 16, "genes": 60}


def _bytes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }


def _table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name, dtype={"patient_id": str}, keep_default_na=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "cohort"
    simulate(
        out,
        **TINY,
        signal="interaction",
        leak=True,
        sites=3,
        slides=3,
        hold_out=10,
        seed=1,
    )
    return out


def test_it_loads_as_a_cohort(tiny: Path) -> None:
    cohort = load_cohort(tiny / "cohort.yaml")
    assert len(cohort) == 24
    assert cohort.unit == "months"
    assert cohort.endpoint == "progression"
    assert list(cohort.modalities) == ["clinical", "expression", "slides"]
    assert cohort.present.to_numpy().all()
    assert cohort.modalities["expression"].features == 60
    assert cohort.modalities["slides"].features == 16
    assert cohort.modalities["clinical"].columns["no_instillations"].known == "followup"
    assert set(cohort.groups["site"]) <= {"site1", "site2", "site3"}


def test_clinical_columns_are_those_of_chimera(tiny: Path) -> None:
    clinical = _table(tiny, "clinical.csv")
    assert tuple(clinical.columns) == (
        "patient_id",
        *CLINICAL_COLUMNS,
        "no_instillations",
    )
    assert (clinical["substage"].eq("-1") | clinical["stage"].eq("T1HG")).all()


def test_unknown_cells_are_missing_not_minus_one(tiny: Path) -> None:
    clinical = load_cohort(tiny / "cohort.yaml").modalities["clinical"]
    assert (
        clinical.texts("smoking").isna().sum()
        == (clinical.frame["smoking"] == "-1").sum()
        > 0
    )


def test_expression_has_the_floor_and_bags_a_unit_scale(tmp_path: Path) -> None:
    simulate(tmp_path / "c", patients=24, tiles=40, tile_dim=64, genes=400)
    values = (
        pd.read_parquet(tmp_path / "c" / "expression.parquet")
        .drop(columns="patient_id")
        .to_numpy()
    )
    assert values.min() == np.float32(VST_FLOOR)
    assert 0.02 < (values == np.float32(VST_FLOOR)).mean() < 0.2
    features = np.load(tmp_path / "c" / "slides.bags" / "features.npy")
    assert features.dtype == np.float16
    assert features.astype(float).std() == pytest.approx(1.0, abs=0.15)


def test_tiles_lie_on_a_grid_of_their_own(tiny: Path) -> None:
    store = BagStore.open(tiny / "slides.bags")
    tissue = np.load(tiny / "truth_tissue.npy")
    assert len(tissue) == len(np.load(tiny / "slides.bags" / "features.npy"))
    rows = [rows for patient in store.patients for rows in store.rows(patient)]
    assert len(rows) > 24  # several slides for some
    first = np.load(tiny / "slides.bags" / "coords.npy")[rows[0]]
    assert len(np.unique(first, axis=0)) == len(first)
    assert (first % 448 == 0).all()
    assert (tissue == 0).mean() > 0.15


def test_same_seed_same_bytes_and_another_seed_others(
    tiny: Path,
    tmp_path: Path,
) -> None:
    options = {
        **TINY,
        "signal": "interaction",
        "leak": True,
        "sites": 3,
        "slides": 3,
        "hold_out": 10,
    }
    simulate(tmp_path / "again", **options, seed=1)
    assert _bytes(tmp_path / "again") == _bytes(tiny)
    simulate(tmp_path / "other", **options, seed=2)
    same = [k for k, v in _bytes(tmp_path / "other").items() if _bytes(tiny)[k] == v]
    assert same == ["cohort.yaml"] or same == []


def test_the_signal_changes_outcomes_only(tmp_path: Path) -> None:
    for signal in ("none", "additive", "composition"):
        simulate(tmp_path / signal, **TINY, signal=signal)
    none = _bytes(tmp_path / "none")
    for signal in ("additive", "composition"):
        other = _bytes(tmp_path / signal)
        differ = {name for name in none if none[name] != other[name]}
        assert differ == {"cohort.yaml", "patients.csv", "truth.csv", "simulation.json"}


def test_held_out_patients_change_nothing_and_carry_no_outcome(tmp_path: Path) -> None:
    simulate(tmp_path / "without", **TINY, signal="additive")
    simulate(tmp_path / "with", **TINY, signal="additive", hold_out=9)
    without, both = _bytes(tmp_path / "without"), _bytes(tmp_path / "with")
    assert {name for name in without if without[name] != both[name]} == {
        "simulation.json",
    }
    new = load_cohort(tmp_path / "with" / "new" / "cohort.yaml", need_outcome=False)
    assert new.outcome is None
    assert len(new) == 9
    assert set(_table(tmp_path / "with" / "new", "truth.csv")["event"]) <= {0, 1}


@pytest.mark.parametrize("signal", ["none", "additive", "interaction", "composition"])
@pytest.mark.parametrize("rate", [0.2, 0.36, 0.6])
def test_event_share_is_met(signal: outcomes.Signal, rate: float) -> None:
    _, seen, _ = _outcomes(176, signal, rate=rate, seed=3)
    assert seen["event"].mean() == pytest.approx(rate, abs=0.03)
    assert seen["time"].min() >= 0.1
    np.testing.assert_allclose(
        seen["time"] * 10,
        (seen["time"] * 10).round(),
        atol=1e-9,
    )


def _outcomes(
    count: int,
    signal: outcomes.Signal,
    *,
    rate: float = 0.36,
    seed: int = 0,
    strength: float = 1.0,
) -> tuple[np.ndarray, pd.DataFrame, object]:
    rng = np.random.default_rng(seed)
    patients = draw_patients(count, prefix="P", sites=0, rng=rng)
    draws = outcomes.draw(count, rng)
    risk = outcomes.log_risk(patients, signal, strength, _shares(count, rng))
    scale = outcomes.weibull_scale(risk, draws, rate)
    return risk, outcomes.observe(risk, draws, scale, leak=True), patients


def _shares(count: int, rng: np.random.Generator) -> np.ndarray:
    """Shares of the classes of tiles, spread over patients about as simulated slides spread them."""
    return rng.dirichlet([1.5, 0.6, 0.8, 0.4, 0.2, 0.4], count)


def _c(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    earlier = (time[:, None] < time[None]) & (event[:, None] == 1)
    higher = (risk[:, None] > risk[None]) + 0.5 * (risk[:, None] == risk[None])
    return float(higher[earlier].mean())


@pytest.mark.parametrize("signal", ["additive", "interaction", "composition"])
def test_strength_one_gives_a_concordance_of_about_077(signal: outcomes.Signal) -> None:
    risk, seen, _ = _outcomes(3000, signal)
    assert 0.75 < _c(seen["time"].to_numpy(), seen["event"].to_numpy(), risk) < 0.82


def test_no_signal_is_no_signal() -> None:
    risk, _, _ = _outcomes(100, "none")
    assert not risk.any()


def test_interaction_shows_in_no_single_factor() -> None:
    risk, seen, patients = _outcomes(4000, "interaction", seed=5)
    time, event = seen["time"].to_numpy(), seen["event"].to_numpy()
    standard_error = 0.5 / np.sqrt(event.sum())  # generous for a C-index near one half
    clinical = outcomes.clinical_score(patients.clinical)
    for factor in (*patients.slide_factor.T, *patients.rna_factor.T, clinical):
        assert abs(_c(time, event, factor) - 0.5) < 2.5 * standard_error
        assert (
            abs(_c(time, event, np.abs(factor)) - 0.5) < 2.5 * standard_error
        )  # nor in its size
    pair = patients.slide_factor[:, 0] * patients.rna_factor[:, 0]
    assert _c(time, event, pair) > 0.62
    assert (
        abs(np.corrcoef(patients.slide_sign[:, 0], risk)[0, 1]) < 1e-2
    )  # balanced by design


def test_the_leak_follows_follow_up_and_not_risk() -> None:
    _, seen, _ = _outcomes(2000, "none", seed=7)
    known = seen[seen["no_instillations"] >= 0]
    assert known["no_instillations"].between(0, 27).all()
    assert known[["no_instillations", "time"]].corr(method="spearman").iloc[0, 1] > 0.4
    time, event = known["time"].to_numpy(), known["event"].to_numpy()
    assert (
        _c(time, event, -known["no_instillations"].to_numpy()) > 0.65
    )  # though nothing causes anything
    late = time > 40  # at a landmark after the last dose, all have had their chance
    assert (
        abs(
            _c(time[late], event[late], -known["no_instillations"].to_numpy()[late])
            - 0.5,
        )
        < 0.08
    )


def test_missing_modalities_leave_everyone_one(tmp_path: Path) -> None:
    shares = {"clinical": 0.5, "expression": 0.5, "slides": 0.5}
    cohort = load_cohort(
        simulate(tmp_path / "c", **{**TINY, "patients": 60}, missing=shares),
    )
    assert cohort.present.any(axis=1).all()
    assert len(cohort) == 60
    assert (cohort.present.mean() < 0.8).all()
    assert (cohort.present.mean() > 0.3).all()


def test_factors_can_be_read_off_genes_and_tumour_tiles(tmp_path: Path) -> None:
    out = tmp_path / "c"
    simulate(out, patients=80, tiles=60, tile_dim=64, genes=400)
    truth = _table(out, "truth.csv")
    module = read_json(out / "simulation.json")["rna_factor_genes"]["1"]
    genes = pd.read_parquet(out / "expression.parquet").set_index("patient_id")[module]
    assert np.corrcoef(genes.mean(axis=1), truth["rna_factor_1"])[0, 1] > 0.9

    store, tissue = (
        BagStore.open(out / "slides.bags"),
        np.load(out / "truth_tissue.npy"),
    )
    features = np.load(out / "slides.bags" / "features.npy").astype(np.float64)
    means = np.stack(
        [
            features[rows][tissue[rows] == 0].mean(axis=0)
            for p in truth["patient_id"]
            for rows in store.rows(p)
        ],
    )
    assert _ridge_r2(means, truth["slide_factor_1"].to_numpy()) > 0.5


def _ridge_r2(x: np.ndarray, y: np.ndarray) -> float:
    """Leave-one-out R² of ridge regression."""
    x, y = x - x.mean(axis=0), y - y.mean()
    gram = x @ x.T
    hat = gram @ np.linalg.inv(gram + 0.02 * np.trace(gram) / len(y) * np.eye(len(y)))
    left_out = (y - hat @ y) / (1 - np.diag(hat))
    return float(1 - (left_out**2).sum() / (y**2).sum())


def test_units(tmp_path: Path) -> None:
    times = {}
    for unit in ("months", "days", "years"):
        path = simulate(tmp_path / unit, **TINY, unit=unit)
        cohort = load_cohort(path)
        assert cohort.unit == unit
        assert cohort.outcome is not None
        times[unit] = cohort.outcome["time"].to_numpy()
    np.testing.assert_allclose(times["days"] / 30.4375, times["months"], atol=0.02)
    np.testing.assert_allclose(times["years"] * 12, times["months"], atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_rate": 1.2}, "event_rate: expected a share"),
        ({"event_rate": 0.001}, "leaves no events"),
        (
            {"signal": "loud"},
            "signal: expected one of none, additive, interaction, composition",
        ),
        (
            {"strength": float("nan"), "signal": "additive"},
            "strength: expected a finite number",
        ),
        ({"patients": 3}, "patients: at least 8"),
        ({"genes": 5}, "genes: at least 20"),
        ({"missing": {"blood": 0.1}}, "missing: unknown modality 'blood'"),
        ({"missing": {"slides": 1.5}}, "share of slides"),
        ({"unit": "weeks"}, "unit: expected one of"),
    ],
)
def test_refusals_leave_nothing_behind(
    tmp_path: Path,
    options: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(tmp_path / "c", **{**TINY, **options})
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        simulate(tmp_path, **TINY)


def test_gene_modules_are_complete() -> None:
    world = gene_world(25, np.random.default_rng(0))
    assert set(range(20)) <= set(world.module)


def test_the_cohort_file_reads_as_text(tiny: Path) -> None:
    text = (tiny / "cohort.yaml").read_text()
    assert "known: followup" in text
    assert "# 1 = progression" in text
    assert "truth" not in "".join(line.split("#")[0] for line in text.splitlines())
