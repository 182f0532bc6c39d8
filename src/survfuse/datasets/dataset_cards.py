"""The datasets by name: what each is, whose it is, what it may be used for, and how to get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from survfuse._registry import Registry
from survfuse.datasets.download import CACHE, LOCAL
from survfuse.datasets.hancock import hancock
from survfuse.datasets.simulate import simulate
from survfuse.datasets.tcga_luad import tcga_luad

DATASETS: Registry[DatasetCard] = Registry("dataset")


@dataclass(frozen=True)
class DatasetCard:
    """Everything to know before using a dataset.

    Attributes
    ----------
    name : str
    title : str
    patients, events : int
        Of the default endpoint.
    licence : str
    citation : str
    size : int, bytes
        Of the files that are read.
    needs : str
        What it takes to get it.
    convert : callable
        ``convert(out, **options) -> Path`` of the cohort file.
    options : mapping of str to str
        Options of `convert` that a command line offers, with their meaning.
    """

    name: str
    title: str
    patients: int
    events: int
    licence: str
    citation: str
    size: int
    needs: str
    convert: Callable[..., Path]
    options: dict[str, str]


@DATASETS.register(
    "hancock",
    summary="head and neck cancer: clinical, blood, tile bags of eight stains",
    source="Doerrich et al., Nat Commun 2025;16:7163",
)
def _hancock() -> DatasetCard:
    return DatasetCard(
        name="hancock",
        title="HANCOCK, head and neck cancer (Erlangen)",
        patients=763,
        events=213,
        licence="Apache-2.0 (feature files of ankilab/HANCOCK_MultimodalDataset @521b99b)",
        citation="Doerrich M et al. A multimodal dataset for precision oncology in head and neck "
        "cancer. Nat Commun 2025;16:7163.",
        size=12_964_340,
        needs=f"network (raw.githubusercontent.com; kept in ${CACHE}), "
        f"or a copy under ${LOCAL}/hancock",
        convert=hancock,
        options={"endpoint": "os (overall survival) or rfs (recurrence-free survival)"},
    )


@DATASETS.register(
    "tcga_luad",
    summary="lung adenocarcinoma: clinical, 1,555 genes, interpretable slide features",
    source="Diao et al., Nat Commun 2021;12:1613; TCGA",
)
def _tcga_luad() -> DatasetCard:
    return DatasetCard(
        name="tcga_luad",
        title="TCGA-LUAD, lung adenocarcinoma",
        patients=422,
        events=148,
        licence="slide features CC BY-NC-SA 4.0 (Path-AI/hif2gene @a45219b): no commercial use; "
        "expression and clinical data TCGA open access",
        citation="Diao JA et al. Human-interpretable image features derived from densely mapped "
        "cancer pathology slides predict diverse molecular phenotypes. Nat Commun 2021;12:1613.",
        size=2_925_175,
        needs=f"a copy under ${LOCAL}/tcga_luad; there is no single place to download it from",
        convert=tcga_luad,
        options={},
    )


@DATASETS.register(
    "simulated",
    summary="bladder-cancer-like cohort with a planted truth",
    source="ours",
)
def _simulated() -> DatasetCard:
    return DatasetCard(
        name="simulated",
        title="Simulated, shaped like CHIMERA task 3",
        patients=176,
        events=63,
        licence="none needed: nobody's data",
        citation="",
        size=0,
        needs="nothing; about half a gigabyte of disk at full size",
        convert=simulate,
        options={
            "signal": "none, additive or interaction",
            "seed": "seed of everything",
        },
    )


def card(name: str) -> DatasetCard:
    """Give the card of a dataset.

    Raises
    ------
    ConfigError
        For a name that is not registered; names those that are.
    """
    return DATASETS.build(name)
