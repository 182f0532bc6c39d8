"""A cohort with a planted truth, shaped like CHIMERA task 3 (bladder-cancer recurrence).

Everything that is known about the truth lies in ``truth.csv``, ``truth_tissue.npy``
and ``simulation.json``, which no cohort loader reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import ConfigError
from survfuse._storage import atomic_path, write_json, write_text
from survfuse.datasets import outcomes
from survfuse.datasets.outcomes import Signal, Unit
from survfuse.datasets.population import (
    FACTORS,
    GeneWorld,
    Patients,
    draw_missing,
    draw_patients,
    expression,
    gene_world,
)
from survfuse.datasets.tissue import CLASSES, TILE_MPP, TissueWorld, draw_slides, tissue_world
from survfuse.datasets.writing import staged_folder, write_bags, write_csv, write_expression, yaml_columns

MODALITIES = ("clinical", "expression", "slides")
ENCODER = "simulated"

_COLUMNS = {
    "age": "{kind: numeric}",
    "sex": "{kind: nominal}",
    "smoking": "{kind: nominal}",
    "tumor": "{kind: nominal}",
    "stage": "{kind: ordinal, levels: [TaHG, T1HG, T2HG]}",
    "substage": "{kind: nominal}",
    "grade": "{kind: ordinal, levels: [G2, G3]}",
    "reTUR": "{kind: nominal}",
    "LVI": "{kind: nominal}",
    "variant": "{kind: nominal}",
    "EORTC": "{kind: ordinal, levels: [Intermediate risk, High risk, Highest risk]}",
    "BRS": "{kind: nominal}",
}
_LEAK = "{kind: numeric, known: followup}   # doses received during follow-up: who relapses early gets fewer"


@dataclass(frozen=True)
class _Plan:
    """What was asked for, as it is written into ``simulation.json``."""

    patients: int
    event_rate: float
    signal: Signal
    strength: float
    tiles: int
    tile_dim: int
    genes: int
    slides: int
    missing: Mapping[str, float] = field(default_factory=dict)
    sites: int = 0
    site_hazard: float = 0.0
    leak: bool = False
    hold_out: int = 0
    seed: int = 0
    unit: Unit = "months"

    def check(self) -> None:
        """Refuse numbers that make no cohort."""
        least = {"patients": 8, "tiles": 4, "tile_dim": 1, "slides": 1, "sites": 0, "hold_out": 0, "seed": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ConfigError(f"{name}: at least {minimum}, got {getattr(self, name)}")
        if not 0 < self.event_rate < 1:
            raise ConfigError(f"event_rate: expected a share between 0 and 1, got {self.event_rate}")


@dataclass(frozen=True)
class _World:
    """What the patients of one seed share."""

    genes: GeneWorld
    tissue: TissueWorld
    site_shift: np.ndarray[Any, np.dtype[np.float64]] | None
    site_log_hazard: np.ndarray[Any, np.dtype[np.float64]]


def simulate(
    out: Path | str,
    *,
    patients: int = 176,
    event_rate: float = 0.36,
    signal: Signal = "none",
    strength: float = 1.0,
    tiles: int = 1500,
    tile_dim: int = 1024,
    genes: int = 19359,
    slides: int = 1,
    missing: Mapping[str, float] | None = None,
    sites: int = 0,
    site_hazard: float = 0.0,
    leak: bool = False,
    hold_out: int = 0,
    seed: int = 0,
    unit: Unit = "months",
) -> Path:
    """Simulate a cohort and write it as a folder.

    The same seed gives the same bytes. `signal`, `strength`, `event_rate`, `leak`
    and `unit` touch the outcome only: cohorts of one seed and size share their
    slides, expression and clinical tables.

    Parameters
    ----------
    out : path
        A new or empty folder.
    patients : int
        Patients, at least 8.
    event_rate : float
        Share of patients who relapse under observation; met to the nearest patient.
    signal : {"none", "additive", "interaction"}
        What the log-risk is made of; see :func:`survfuse.datasets.outcomes.log_risk`.
    strength : float
        Multiplies the log-risk; at 1 its own concordance is 0.75 to 0.8.
    tiles : int
        Median tiles of a slide (lognormal).
    tile_dim : int
        Features per tile.
    genes : int
        Genes, at least 20.
    slides : int
        Most slides per patient (1 to `slides`, uniformly).
    missing : mapping of modality to share, optional
        Patients who lack it, completely at random; everyone keeps one modality.
    sites : int
        Hospitals with a batch effect on expression; 0 for none.
    site_hazard : float
        Standard deviation of the log-hazard between hospitals (not part of the true log-risk).
    leak : bool
        Add `no_instillations`, the number of doses received during follow-up. It
        has no effect on relapse and yet predicts it.
    hold_out : int
        Further patients from the same population, in ``new/cohort.yaml`` without
        their outcome (which stands in ``new/truth.csv``).
    seed : int
        Seed of everything.
    unit : {"months", "days", "years"}
        Unit of time in the tables.

    Returns
    -------
    Path
        ``out/cohort.yaml``.

    Raises
    ------
    ConfigError
        For a parameter outside its range.
    InputError
        When `out` already holds something.
    """
    plan = _Plan(
        patients, event_rate, signal, strength, tiles, tile_dim, genes, slides, dict(missing or {}),
        sites, site_hazard, leak, hold_out, seed, unit,
    )  # fmt: skip
    plan.check()
    # One stream for the world and one for each draw of patients, so that `hold_out` changes nothing else.
    world_seed, main_seed, new_seed = np.random.SeedSequence(seed).spawn(3)
    world = _make_world(plan, np.random.default_rng(world_seed))
    with staged_folder(out) as folder:
        scale = _write_draw(folder, plan, world, main_seed, scale=None)
        if hold_out:
            (folder / "new").mkdir()
            _write_draw(folder / "new", plan, world, new_seed, scale=scale)
        write_json(folder / "simulation.json", _describe(plan, world, scale))
    return Path(out) / "cohort.yaml"


def _make_world(plan: _Plan, rng: np.random.Generator) -> _World:
    genes = gene_world(plan.genes, rng)
    tissue = tissue_world(plan.tile_dim, rng)
    shift = rng.normal(0.0, 0.35, (plan.sites, plan.genes)) if plan.sites else None
    return _World(genes, tissue, shift, plan.site_hazard * rng.standard_normal(max(plan.sites, 1)) + 0.0)


def _write_draw(
    folder: Path, plan: _Plan, world: _World, seed: np.random.SeedSequence, scale: float | None
) -> float:
    """Draw and write one set of patients; the main one (no `scale` yet) sets the time scale."""
    main = scale is None
    person, molecular, later, absent, tiles = seed.spawn(5)
    patients = draw_patients(
        plan.patients if main else plan.hold_out,
        prefix="P" if main else "N",
        sites=plan.sites,
        rng=np.random.default_rng(person),
    )
    present = draw_missing(patients.ids, plan.missing, MODALITIES, np.random.default_rng(absent))
    risk = outcomes.log_risk(patients, plan.signal, plan.strength)
    site_effect = world.site_log_hazard[patients.site]
    draws = outcomes.draw(len(risk), np.random.default_rng(later))
    if scale is None:
        scale = outcomes.weibull_scale(risk + site_effect, draws, plan.event_rate)
    seen = outcomes.observe(risk + site_effect, draws, scale, leak=plan.leak)
    seen["time"] = outcomes.in_unit(seen["time"], plan.unit)

    _write_tables(folder, plan, patients, seen, present, with_outcome=main)
    values = expression(world.genes, patients, world.site_shift, np.random.default_rng(molecular))
    has = present["expression"].to_numpy()
    kept = [i for i, there in zip(patients.ids, has, strict=True) if there]
    write_expression(folder / "expression.parquet", values[has], world.genes.names, kept)
    _write_slides(folder, plan, world, patients, present["slides"], tiles)
    write_csv(folder / "truth.csv", _truth(patients, risk, site_effect, seen))
    write_text(folder / "cohort.yaml", _cohort_yaml(plan, with_outcome=main))
    return scale


def _write_tables(
    folder: Path,
    plan: _Plan,
    patients: Patients,
    seen: pd.DataFrame,
    present: pd.DataFrame,
    *,
    with_outcome: bool,
) -> None:
    clinical = patients.clinical.copy()
    if plan.leak:
        clinical["no_instillations"] = seen["no_instillations"]
    clinical.insert(0, "patient_id", list(patients.ids))
    write_csv(folder / "clinical.csv", clinical[present["clinical"].to_numpy()])
    table = pd.DataFrame({"patient_id": list(patients.ids)})
    if with_outcome:
        table["time"], table["event"] = seen["time"], seen["event"]
    if plan.sites:
        table["site"] = [f"site{number + 1}" for number in patients.site]
    if with_outcome or plan.sites:
        write_csv(folder / "patients.csv", table)


def _write_slides(
    folder: Path,
    plan: _Plan,
    world: _World,
    patients: Patients,
    present: pd.Series[bool],
    seed: np.random.SeedSequence,
) -> None:
    tissue: list[np.ndarray[Any, np.dtype[np.uint8]]] = []

    def bags() -> Any:
        for slide in draw_slides(world.tissue, patients, tiles=plan.tiles, slides=plan.slides, seed=seed):
            if present[slide.patient_id]:
                tissue.append(slide.tissue)
                yield slide.slide_id, slide.patient_id, slide.features, slide.coords

    write_bags(bags(), folder / "slides.bags", encoder=ENCODER, mpp=TILE_MPP)
    with atomic_path(folder / "truth_tissue.npy") as path, path.open("wb") as file:
        np.save(file, np.concatenate(tissue))


def _truth(
    patients: Patients,
    risk: np.ndarray[Any, np.dtype[np.float64]],
    site_effect: np.ndarray[Any, np.dtype[np.float64]],
    seen: pd.DataFrame,
) -> pd.DataFrame:
    frame = pd.DataFrame({"patient_id": patients.ids, "log_risk": risk, "site_effect": site_effect})
    frame["time"], frame["event"] = seen["time"], seen["event"]
    for k in range(FACTORS):
        frame[f"slide_factor_{k + 1}"] = patients.slide_factor[:, k]
        frame[f"rna_factor_{k + 1}"] = patients.rna_factor[:, k]
        frame[f"slide_sign_{k + 1}"] = patients.slide_sign[:, k].astype(int)
        frame[f"rna_sign_{k + 1}"] = patients.rna_sign[:, k].astype(int)
    return frame


def _describe(plan: _Plan, world: _World, scale: float) -> dict[str, Any]:
    names = np.array(world.genes.names)
    return {
        "format": "survfuse-simulation",
        "version": 1,
        "asked": {name: getattr(plan, name) for name in plan.__dataclass_fields__},
        "weibull": {"shape": outcomes.SHAPE, "scale_months": scale},
        "censoring": {"administrative_months": outcomes.FOLLOW_UP, "dropout_per_month": outcomes.DROPOUT},
        "rna_factor_genes": {str(k + 1): names[world.genes.module == k].tolist() for k in range(FACTORS)},
        "tissue_classes": CLASSES,
        "tissue_of_tile": "truth_tissue.npy, in the row order of slides.bags/features.npy",
        "site_log_hazard": world.site_log_hazard if plan.sites else [],
    }


def _cohort_yaml(plan: _Plan, *, with_outcome: bool) -> str:
    parts = [
        f"# Simulated by survfuse (signal: {plan.signal}, seed: {plan.seed}); nobody's data.\n"
        "# What was planted stands in truth.csv and simulation.json, which no loader reads.\n"
        f"name: simulated-{plan.signal}{'' if with_outcome else '-new'}\n"
    ]
    if with_outcome:
        parts.append(
            "outcome:\n"
            "  table: patients.csv\n"
            "  patient: patient_id\n"
            f"  time: time\n  unit: {plan.unit}\n"
            "  event: event          # 1 = progression, 0 = censored\n"
            "  endpoint: progression\n"
        )
    else:
        parts.append("# No outcome: these patients are to be predicted.\n")
    columns = {**_COLUMNS, **({"no_instillations": _LEAK} if plan.leak else {})}
    parts.append(
        "clinical:\n"
        "  table: clinical.csv\n"
        "  patient: patient_id\n"
        '  missing: ["", "NA", "-1"]   # -1 is "not known" in every column, also where numbers stand\n'
        "  columns:\n" + yaml_columns(columns) + "\n"
    )
    parts.append(
        "expression:\n"
        "  path: expression.parquet\n"
        "  patient: patient_id\n"
        "  unit: vst               # variance-stabilised; 3.7 is the floor of unexpressed genes\n"
        "  genes: symbol\n"
    )
    parts.append("slides:\n  packed: slides.bags\n")
    if plan.sites:
        parts.append("groups:\n  site: {table: patients.csv, column: site, patient: patient_id}\n")
    return "\n".join(parts)
