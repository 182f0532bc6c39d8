"""The simulated population: what a patient is before any file is written.

A *world* holds what all patients of one seed share (gene modules, tissue classes);
a *draw* holds patients. Cohorts of one seed therefore come from one population, and
adding patients to be predicted later changes nothing about those drawn before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import ConfigError
from survfuse._types import Float32Array, FloatArray, IntArray

FACTORS = 2  # prognostic factors in the slides, and as many in the expression
RNA_LATENTS = 20  # correlated gene modules; the first FACTORS are the prognostic ones
# Share of the module genes in each prognostic module: large, as proliferation or immunity are.
_LARGE = 0.15
VST_FLOOR = (
    3.7  # value of an unexpressed gene after variance-stabilising transformation
)
MISSING = "-1"

_SEPARATION = 0.9  # a factor is 0.9 * sign + jitter, of variance 1
_JITTER = float(np.sqrt(1 - _SEPARATION**2))

# Level -> share; order is the order in which the levels are drawn.
_LEVELS: Mapping[str, Mapping[str, float]] = {
    "sex": {"Male": 0.79, "Female": 0.21},
    "smoking": {"Yes": 0.52, "No": 0.26, MISSING: 0.22},
    "tumor": {"Primary": 0.84, "Recurrence": 0.16},
    "stage": {"TaHG": 0.2, "T1HG": 0.73, "T2HG": 0.07},
    "grade": {"G2": 0.15, "G3": 0.85},
    "reTUR": {"Yes": 0.62, "No": 0.38},
    "LVI": {"No": 0.72, "Yes": 0.12, MISSING: 0.16},
    "variant": {"UCC": 0.83, "UCC + Variant": 0.17},
    "EORTC": {"High risk": 0.7, "Highest risk": 0.25, "Intermediate risk": 0.05},
    "BRS": {"BRS1": 0.36, "BRS2": 0.3, "BRS3": 0.34},
}
_SUBSTAGE = {"T1m": 0.35, "T1e": 0.45, MISSING: 0.2}  # of T1 tumours; others have none
CLINICAL_COLUMNS = (
    "age",
    "sex",
    "smoking",
    "tumor",
    "stage",
    "substage",
    "grade",
    "reTUR",
    "LVI",
    "variant",
    "EORTC",
    "BRS",
)


@dataclass(frozen=True)
class GeneWorld:
    """How expression follows the latent factors, the same for every patient.

    Attributes
    ----------
    names : tuple of str, (genes,)
    base : ndarray, (genes,)
        Mean on the VST-like scale, before the floor.
    loading : ndarray, (genes, RNA_LATENTS)
        One non-zero entry per gene of a module, none for the others.
    noise : ndarray, (genes,)
        Standard deviation of a gene's own variation.
    module : ndarray of int, (genes,)
        Index of the gene's module, -1 for none.
    """

    names: tuple[str, ...]
    base: FloatArray
    loading: FloatArray
    noise: FloatArray
    module: IntArray


@dataclass(frozen=True)
class Patients:
    """One draw of patients.

    Attributes
    ----------
    ids : tuple of str
    clinical : DataFrame
        Columns `CLINICAL_COLUMNS`, missing values as "-1".
    slide_sign, rna_sign : ndarray, (patients, FACTORS)
        Two-valued state behind each factor, -1 or 1; exactly balanced in blocks.
    slide_factor, rna_latent : ndarray, (patients, FACTORS) and (patients, RNA_LATENTS)
        What tiles and genes carry, unit variance.
    site : ndarray of int, (patients,)
        All zero without sites.
    """

    ids: tuple[str, ...]
    clinical: pd.DataFrame
    slide_sign: FloatArray
    rna_sign: FloatArray
    slide_factor: FloatArray
    rna_latent: FloatArray
    site: IntArray

    @property
    def rna_factor(self) -> FloatArray:
        """The prognostic expression factors, (patients, FACTORS)."""
        return self.rna_latent[:, :FACTORS]


def gene_world(
    genes: int,
    rng: np.random.Generator,
) -> GeneWorld:
    """Draw gene modules: 70 % of genes belong to one of the modules, a sixth sit near the floor.

    Parameters
    ----------
    genes : int
        At least one gene per module.
    rng : Generator
        The world's stream.
    """
    if genes < RNA_LATENTS:
        raise ConfigError(
            f"genes: at least {RNA_LATENTS} (one per module), got {genes}",
        )
    sizes = np.full(RNA_LATENTS, (1 - FACTORS * _LARGE) / (RNA_LATENTS - FACTORS))
    sizes[:FACTORS] = _LARGE
    module = np.where(
        rng.random(genes) < 0.7,
        rng.choice(RNA_LATENTS, genes, p=sizes),
        -1,
    )
    module[rng.permutation(genes)[:RNA_LATENTS]] = np.arange(RNA_LATENTS)
    silent = (rng.random(genes) < 1 / 6) & (module < 0)
    base = np.where(
        silent,
        VST_FLOOR - rng.exponential(1.0, genes),
        rng.gamma(6.0, 0.8, genes) + 5.0,
    )
    loading = np.zeros((genes, RNA_LATENTS))
    member = np.flatnonzero(module >= 0)
    loading[member, module[member]] = rng.uniform(0.3, 0.8, len(member))
    noise = rng.uniform(0.4, 0.9, genes)
    return GeneWorld(
        tuple(f"GENE{i:05d}" for i in range(1, genes + 1)),
        base,
        loading,
        noise,
        module,
    )


def draw_patients(
    count: int,
    *,
    prefix: str,
    sites: int,
    rng: np.random.Generator,
) -> Patients:
    """Draw patients with clinical variables and latent factors, all independent of each other.

    Parameters
    ----------
    count : int
        How many.
    prefix : str
        Ids are ``prefix`` and a number from 001.
    sites : int
        Hospitals, 0 for none; assigned at random.
    rng : Generator
        This draw's stream.
    """
    signs = _balanced_signs(count, 2 * FACTORS, rng)
    slide_sign, rna_sign = signs[:, :FACTORS], signs[:, FACTORS:]
    rna_latent = rng.standard_normal((count, RNA_LATENTS))
    rna_latent[:, :FACTORS] = _SEPARATION * rna_sign + _JITTER * rna_latent[:, :FACTORS]
    return Patients(
        ids=tuple(
            f"{prefix}{i:0{max(3, len(str(count)))}d}" for i in range(1, count + 1)
        ),
        clinical=_draw_clinical(count, rng),
        slide_sign=slide_sign,
        rna_sign=rna_sign,
        slide_factor=_SEPARATION * slide_sign
        + _JITTER * rng.standard_normal((count, FACTORS)),
        rna_latent=rna_latent,
        site=rng.integers(0, sites, count)
        if sites
        else np.zeros(count, dtype=np.int64),
    )


def _balanced_signs(
    count: int,
    columns: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Every combination of signs equally often (up to one incomplete block), in random order."""
    cells = 2**columns
    code = np.concatenate([rng.permutation(cells) for _ in range(-(-count // cells))])[
        :count
    ]
    bits = (code[:, None] >> np.arange(columns)) & 1
    return np.where(bits == 1, 1.0, -1.0)


def _draw_clinical(
    count: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    columns: dict[str, npt.NDArray[np.str_]] = {
        name: rng.choice(
            list(levels),
            size=count,
            p=list(levels.values()),
        )
        for name, levels in _LEVELS.items()
    }
    substage = rng.choice(
        list(_SUBSTAGE),
        size=count,
        p=list(_SUBSTAGE.values()),
    )
    columns["substage"] = np.where(columns["stage"] == "T1HG", substage, MISSING)
    age = np.clip(np.rint(rng.normal(71.0, 9.5, count)), 35, 95).astype(int)
    return pd.DataFrame({"age": age, **columns})[list(CLINICAL_COLUMNS)]


def expression(
    world: GeneWorld,
    patients: Patients,
    shift: FloatArray | None,
    rng: np.random.Generator,
) -> Float32Array:
    """Give VST-like expression, (patients, genes), never below the floor.

    Parameters
    ----------
    world : GeneWorld
    patients : Patients
    shift : ndarray, (sites, genes), optional
        Added to all patients of a site: a batch effect.
    rng : Generator
        This draw's stream.
    """
    values = rng.standard_normal(
        (len(patients.ids), len(world.names)),
        dtype=np.float32,
    )
    values *= world.noise.astype(np.float32)
    values += (patients.rna_latent @ world.loading.T + world.base).astype(np.float32)
    if shift is not None:
        values += shift[patients.site].astype(np.float32)
    rounded: Float32Array = np.maximum(values, np.float32(VST_FLOOR)).round(
        3,
    )
    return rounded


def draw_missing(
    ids: tuple[str, ...],
    shares: Mapping[str, float],
    modalities: tuple[str, ...],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Decide completely at random who lacks what; every patient keeps at least one modality.

    Returns
    -------
    DataFrame of bool, (patients, modalities)
        True where the modality is there, indexed by patient id.
    """
    unknown = sorted(set(shares) - set(modalities))
    if unknown:
        raise ConfigError(
            f"missing: unknown modality {unknown[0]!r}; known: {', '.join(modalities)}",
        )
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ConfigError(
                f"missing: share of {name} must be in [0, 1), got {share}",
            )
    draws = rng.random((len(ids), len(modalities)))
    keeper = rng.integers(0, len(modalities), len(ids))
    present = draws >= np.array([shares.get(name, 0.0) for name in modalities])
    empty = np.flatnonzero(~present.any(axis=1))
    present[empty, keeper[empty]] = True
    return pd.DataFrame(
        present,
        index=pd.Index(ids, name="patient_id"),
        columns=list(modalities),
    )
