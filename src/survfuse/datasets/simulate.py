"""A cohort with a planted truth, shaped like CHIMERA task 3 (bladder-cancer recurrence).

Slides are bags of made-up features, or pixels that ``survfuse extract`` turns into bags.
Everything that is known about the truth lies in ``truth.csv``, ``truth_tissue.npy``
(or the folder ``truth_tissue``) and ``simulation.json``, which no cohort loader reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from survfuse._errors import MissingExtraError
from survfuse._storage import write_json, write_text
from survfuse._types import FloatArray
from survfuse.datasets import outcomes
from survfuse.datasets.chimera_layout import check_chimera, rewrite_as_chimera
from survfuse.datasets.cohort_files import (
    cohort_yaml,
    describe_truth,
    truth,
    write_tables,
)
from survfuse.datasets.outcomes import Signal, Unit
from survfuse.datasets.population import (
    GeneWorld,
    Patients,
    draw_missing,
    draw_patients,
    expression,
    gene_world,
)
from survfuse.datasets.simulated_tissue import TissueWorld, tissue_world
from survfuse.datasets.simulation_plan import Layout, Plan
from survfuse.datasets.slide_bags import write_slide_bags
from survfuse.datasets.writing import (
    new_folder,
    try_new_folder,
    write_csv,
    write_expression,
)

if TYPE_CHECKING:
    from survfuse.datasets.slide_folder import Planted
    from survfuse.datasets.slide_orders import Workshop

MODALITIES = ("clinical", "expression", "slides")
PREFIXES = {"cohort": ("P", "N"), "chimera": ("3A_", "3B_")}
"""How ids of patients begin in a layout, those of new patients second."""


@dataclass(frozen=True)
class _World:
    """What the patients of one seed share."""

    genes: GeneWorld
    tissue: TissueWorld
    site_shift: np.ndarray[Any, np.dtype[np.float64]] | None
    site_log_hazard: np.ndarray[Any, np.dtype[np.float64]]
    workshop: Workshop | None


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
    images: bool = False,
    slide_px: int = 1536,
    defects: bool = False,
    layout: Layout = "cohort",
) -> Path:
    """Simulate a cohort and write it as a folder.

    The same seed gives the same bytes. `signal`, `strength`, `event_rate`, `leak`
    and `unit` touch the outcome only: cohorts of one seed and size share their
    slides (pixels too), expression and clinical tables. `images` touches the slides, and
    with `composition` the outcome that follows from them.

    Parameters
    ----------
    out : path
        A new or empty folder.
    patients : int
        Patients, at least 8.
    event_rate : float
        Share of patients who relapse under observation; met to the nearest patient.
    signal : {"none", "additive", "interaction", "composition"}
        What the log-risk is made of; see :func:`survfuse.datasets.outcomes.log_risk`. Of
        `composition`, ``truth.csv`` holds the two shares of every patient.
    strength : float
        Multiplies the log-risk; at 1 its own concordance is 0.75 to 0.8.
    tiles : int
        Median tiles of a slide (lognormal); not with `images`.
    tile_dim : int
        Features per tile; not with `images`.
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
    images : bool
        Write slides as pixels (``slides/*.tif`` at 0.5 or 0.25 µm/px, ``masks/*.tif``,
        ``slides.csv``)
        instead of bags of features; needs the extra ``slides``.
    slide_px : int, px of 0.5 µm
        Longest side of such a slide, 256 to 16384.
    defects : bool
        Let one such slide tell no µm/px and another be damaged; ``simulation.json`` says which.
    layout : {"cohort", "chimera"}
        `cohort` writes tables and a cohort file. `chimera` writes the files of the challenge's
        training data (task 3), as :mod:`survfuse.datasets.chimera_layout` lists them: months, one
        slide per patient, `leak`, ids from 3A_001, those of `hold_out` from 3B_001.

    Returns
    -------
    Path
        ``out/cohort.yaml``; with the layout `chimera`, `out`.

    Raises
    ------
    ConfigError
        For a parameter outside its range.
    InputError
        When `out` already holds something, or nobody would have a slide.
    MissingExtraError
        When `images` are asked for and the packages that paint them are absent.
    """
    plan = Plan(
        patients, event_rate, signal, strength, tiles, tile_dim, genes, slides, dict(missing or {}),
        sites, site_hazard, leak, hold_out, seed, unit, images, slide_px, defects, layout,
    )  # fmt: skip
    plan.check()
    if layout == "chimera":
        check_chimera(plan)
        plan = replace(plan, leak=True)
    try_new_folder(out)
    # One stream for the world and one for each draw of patients, so that `hold_out` changes
    # nothing else.
    world_seed, main_seed, new_seed, shop_seed = np.random.SeedSequence(seed).spawn(4)
    world = _make_world(plan, np.random.default_rng(world_seed), shop_seed)
    with new_folder(out) as folder:
        scale, planted = _write_draw(folder, plan, world, main_seed, scale=None)
        if hold_out:
            (folder / "new").mkdir()
            _, more = _write_draw(folder / "new", plan, world, new_seed, scale=scale)
            planted += more
        facts = describe_truth(plan, world.genes, world.site_log_hazard, scale, planted)
        if layout == "chimera":
            for each in (folder, folder / "new") if hold_out else (folder,):
                rewrite_as_chimera(each)
        write_json(folder / "simulation.json", facts)
    return Path(out) if layout == "chimera" else Path(out) / "cohort.yaml"


def _make_world(
    plan: Plan,
    rng: np.random.Generator,
    shop: np.random.SeedSequence,
) -> _World:
    genes = gene_world(plan.genes, rng)
    tissue = tissue_world(plan.tile_dim, rng)
    shift = rng.normal(0.0, 0.35, (plan.sites, plan.genes)) if plan.sites else None
    log_hazard = plan.site_hazard * rng.standard_normal(max(plan.sites, 1)) + 0.0
    return _World(
        genes,
        tissue,
        shift,
        log_hazard,
        _open_workshop(plan, shop) if plan.images else None,
    )


def _open_workshop(
    plan: Plan,
    seed: np.random.SeedSequence,
) -> Workshop:
    try:
        from survfuse.datasets.slide_orders import workshop
    except ImportError as error:
        raise MissingExtraError(
            f"painting slides needs {error.name or 'more packages'}: pip install "
            "'survfuse[slides]'",
        ) from None
    return workshop(plan.sites, seed)


def _write_draw(
    folder: Path,
    plan: Plan,
    world: _World,
    seed: np.random.SeedSequence,
    scale: float | None,
) -> tuple[float, list[Planted]]:
    """Draw and write one set of patients; the main one (no `scale` yet) sets the time scale."""
    main = scale is None
    person, molecular, later, absent, tiles = seed.spawn(5)
    patients = draw_patients(
        plan.patients if main else plan.hold_out,
        prefix=PREFIXES[plan.layout][0 if main else 1],
        sites=plan.sites,
        rng=np.random.default_rng(person),
    )
    present = draw_missing(
        patients.ids,
        plan.missing,
        MODALITIES,
        np.random.default_rng(absent),
    )
    shares, planted = _write_slides(
        folder,
        plan,
        world,
        patients,
        present["slides"],
        tiles,
        main=main,
    )
    risk = outcomes.log_risk(patients, plan.signal, plan.strength, shares)
    site_effect = world.site_log_hazard[patients.site]
    draws = outcomes.draw(len(risk), np.random.default_rng(later))
    if scale is None:
        scale = outcomes.weibull_scale(risk + site_effect, draws, plan.event_rate)
    seen = outcomes.observe(risk + site_effect, draws, scale, leak=plan.leak)
    seen["time"] = outcomes.in_unit(seen["time"], plan.unit)

    write_tables(folder, plan, patients, seen, present, with_outcome=main)
    values = expression(
        world.genes,
        patients,
        world.site_shift,
        np.random.default_rng(molecular),
    )
    has = present["expression"]
    write_expression(
        folder / "expression.parquet",
        values[has.to_numpy()],
        world.genes.names,
        has.index[has].tolist(),
    )
    known = truth(plan, patients, risk, site_effect, seen, shares)
    write_csv(folder / "truth.csv", known)
    write_text(folder / "cohort.yaml", cohort_yaml(plan, with_outcome=main))
    return scale, planted


def _write_slides(
    folder: Path,
    plan: Plan,
    world: _World,
    patients: Patients,
    present: pd.Series[bool],
    seed: np.random.SeedSequence,
    *,
    main: bool,
) -> tuple[FloatArray, list[Planted]]:
    """Write pixels or bags; give shares of classes, and what was planted in the pixels."""
    if world.workshop is None:
        shares = write_slide_bags(
            folder,
            world.tissue,
            patients,
            present,
            tiles=plan.tiles,
            slides=plan.slides,
            seed=seed,
        )
        return shares, []
    from survfuse.datasets.slide_folder import write_slide_folder

    return write_slide_folder(
        folder,
        world.workshop,
        patients,
        present,
        side=plan.slide_px,
        slides=plan.slides,
        defects=plan.defects and main,
        seed=seed,
    )
