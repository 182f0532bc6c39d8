"""Survival by the shares of two classes of tiles: shares, log-risk, and tiles that tell the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import survfuse as sf
from survfuse._storage import read_json
from survfuse.cli import extract_command
from survfuse.cohort import load_cohort
from survfuse.datasets import outcomes, simulate
from survfuse.datasets.population import draw_patients
from survfuse.datasets.rendered_slides import read_classes
from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.fit_summary import weights_of
from survfuse.readers.bags import BagStore

PROTECTS, HARMS = (CLASSES.index(n) for n in (outcomes.PROTECTS, outcomes.HARMS))
PIXELS = {"patients": 8, "genes": 20, "images": True, "slide_px": 512, "slides": 2}
BAGS = {"patients": 60, "genes": 20, "tiles": 60, "tile_dim": 32, "slides": 2}


def _truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth.csv").set_index("patient_id")


def _auroc(score: np.ndarray, positive: np.ndarray) -> float:
    ranks = pd.Series(score).rank().to_numpy()
    ones, zeros = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _told_apart(features: np.ndarray, tissue: np.ndarray, train: np.ndarray) -> float:
    """AUROC, over other patients' tiles, of a ridge regression that tells the two classes apart."""
    of_two = np.isin(tissue, (PROTECTS, HARMS))
    x, harms = features.astype(float), tissue == HARMS
    learn, test = of_two & train, of_two & ~train
    mean, sd = x[learn].mean(axis=0), x[learn].std(axis=0) + 1e-9
    z = (x - mean) / sd
    gram = z[learn].T @ z[learn] + np.eye(z.shape[1])
    coef = np.linalg.solve(gram, z[learn].T @ (harms[learn] - harms[learn].mean()))
    return _auroc(z[test] @ coef, harms[test])


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composition") / "cohort"
    options = {"missing": {"slides": 0.3}, "hold_out": 9, "seed": 2}
    simulate(out, **BAGS, **options, signal="composition")
    return out


def test_the_log_risk_is_linear_in_the_shares() -> None:
    rng = np.random.default_rng(0)
    patients = draw_patients(50, prefix="P", sites=0, rng=rng)
    first, second = (rng.dirichlet(np.ones(len(CLASSES)), 50) for _ in range(2))
    risks = [
        outcomes.log_risk(patients, "composition", 2.0, shares)
        for shares in (first, second)
    ]
    moved = (second - first)[:, HARMS] - (second - first)[:, PROTECTS]
    slope = outcomes.risk_per_share(2.0)
    np.testing.assert_allclose(risks[1] - risks[0], slope * moved, atol=1e-12)
    assert slope > 0


def test_clinical_and_expression_factors_count_as_well() -> None:
    rng = np.random.default_rng(1)
    patients = draw_patients(4000, prefix="P", sites=0, rng=rng)
    same = np.full((4000, len(CLASSES)), 1 / len(CLASSES))
    risk = outcomes.log_risk(patients, "composition", 1.0, same)
    clinical = outcomes.clinical_score(patients.clinical)
    assert np.corrcoef(risk, clinical)[0, 1] > 0.5
    assert np.corrcoef(risk, patients.rna_factor.sum(axis=1))[0, 1] > 0.5
    assert abs(np.corrcoef(risk, patients.slide_factor.sum(axis=1))[0, 1]) < 0.06


def test_shares_are_those_of_all_tiles_of_a_patient(bags: Path) -> None:
    for folder in (bags, bags / "new"):
        tissue = np.load(folder / "truth_tissue.npy")
        store, known = BagStore.open(folder / "slides.bags"), _truth(folder)
        assert known[["immune_share", "stroma_share"]].notna().all().all()
        for patient in store.patients:
            own = np.concatenate([tissue[rows] for rows in store.rows(patient)])
            for name, index in (("immune", PROTECTS), ("stroma", HARMS)):
                share = (own == index).mean()
                found = known.loc[patient, f"{name}_share"]
                assert found == pytest.approx(share, abs=1e-12)
        if folder == bags:
            assert len(store.patients) < len(known)  # shares are known of everyone


def test_what_was_planted_is_written_down(bags: Path, tmp_path: Path) -> None:
    written = read_json(bags / "simulation.json")["composition"]
    assert (written["protects"], written["harms"]) == ("immune", "stroma")
    assert written["log_risk_per_share"] == outcomes.risk_per_share(1.0)
    simulate(tmp_path / "other", patients=8, genes=20, tiles=4, signal="additive")
    assert "composition" not in read_json(tmp_path / "other" / "simulation.json")
    assert "immune_share" not in _truth(tmp_path / "other")


def test_missing_slides_change_no_log_risk(bags: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "all", **BAGS, hold_out=9, seed=2, signal="composition")
    pd.testing.assert_frame_equal(_truth(tmp_path / "all"), _truth(bags))


def test_the_shares_tell_risk_as_planned(tmp_path: Path) -> None:
    simulate(tmp_path / "c", **{**BAGS, "patients": 400}, signal="composition")
    known = _truth(tmp_path / "c")
    harm = known["stroma_share"] - known["immune_share"]
    assert harm.mean() == pytest.approx(0.05, abs=0.04)
    assert harm.std() == pytest.approx(0.23, abs=0.03)
    planned = outcomes.risk_per_share(1.0) * harm.std() / known["log_risk"].std()
    assert np.corrcoef(harm, known["log_risk"])[0, 1] == pytest.approx(planned, abs=0.1)


def test_tiles_of_bags_tell_the_two_classes(bags: Path) -> None:
    store = BagStore.open(bags / "slides.bags")
    train = np.zeros(store.tiles, dtype=bool)
    for patient in store.patients[::2]:
        for rows in store.rows(patient):
            train[rows] = True
    tissue = np.load(bags / "truth_tissue.npy")
    assert _told_apart(np.asarray(store.features), tissue, train) > 0.95


def test_shares_of_painted_tissue_are_those_of_its_maps(tmp_path: Path) -> None:
    simulate(tmp_path / "c", **PIXELS, missing={"slides": 0.4}, signal="composition")
    simulate(tmp_path / "all", **PIXELS, signal="composition")
    known, everyone = _truth(tmp_path / "c"), _truth(tmp_path / "all")
    # Slides that are not painted have the shares that they would have.
    pd.testing.assert_frame_equal(known, everyone)
    table = pd.read_csv(tmp_path / "all" / "slides.csv")
    assert 8 < len(table) > len(list((tmp_path / "c" / "slides").iterdir()))
    for patient, slides in table.groupby("patient_id")["slide_id"]:
        maps = [tmp_path / "all" / "truth_tissue" / f"{name}.png" for name in slides]
        classes = np.concatenate([read_classes(path).ravel() for path in maps])
        tissue = classes[classes != CLASSES.index("background")]
        for name, index in (("immune", PROTECTS), ("stroma", HARMS)):
            share = (tissue == index).mean()
            assert known.loc[patient, f"{name}_share"] == pytest.approx(share, abs=1e-9)


def _tissue_of_tiles(folder: Path, store: BagStore) -> np.ndarray:
    """Most frequent class of tissue in each tile of painted slides, -1 where it holds under 70 %."""
    planted = read_json(folder / "simulation.json")["planted"]
    found = np.full(store.tiles, -1)
    for slide in store.slides:
        kinds = read_classes(folder / "truth_tissue" / f"{slide.slide_id}.png")
        corners = store.coords(slide.patient_id) * planted[slide.slide_id]["mpp"] / 4
        for row, (x, y) in enumerate(corners.round().astype(int), start=slide.start):
            area = np.bincount(kinds[y : y + 28, x : x + 28].ravel(), minlength=6)[:5]
            if area.max() > 0.7 * area.sum():
                found[row] = area.argmax()
    return found


@pytest.mark.slow
def test_tiles_of_painted_slides_tell_the_two_classes(tmp_path: Path) -> None:
    options = {**PIXELS, "patients": 40, "slides": 1, "slide_px": 1024}
    cohort = simulate(tmp_path / "c", **options, signal="composition")
    extract_command.extract(cohort, executor="inline", quiet=True)
    store = load_cohort(cohort).modalities["slides"].store
    tissue = _tissue_of_tiles(tmp_path / "c", store)
    assert np.isin(tissue, (PROTECTS, HARMS)).sum() > 40
    train = np.zeros(store.tiles, dtype=bool)
    for slide in store.slides[::2]:
        train[slide.start : slide.stop] = True
    assert _told_apart(np.asarray(store.features), tissue, train) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_model_uses_the_slides(tmp_path: Path, seed: int) -> None:
    """On bags of the demo's number of patients; its painted slides are studied, not tested."""
    sizes = {"patients": 176, "tiles": 60, "tile_dim": 64, "genes": 400}
    cohort = simulate(tmp_path / "c", **sizes, signal="composition", seed=seed)
    model = sf.SurvivalFusion().fit(load_cohort(cohort))
    assert model.fitted is not None
    weights = weights_of(model.fitted.summary)
    assert weights["slides"]["value"] > 0
