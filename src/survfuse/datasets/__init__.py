"""Cohorts to start from: simulated ones with a planted truth, and public ones."""

from __future__ import annotations

from survfuse.datasets.dataset_cards import DATASETS, DatasetCard, card
from survfuse.datasets.download import RemoteFile, cache_folder, fetch, locate
from survfuse.datasets.hancock import hancock
from survfuse.datasets.simulate import simulate
from survfuse.datasets.tcga_luad import tcga_luad

__all__ = [
    "DATASETS",
    "DatasetCard",
    "RemoteFile",
    "cache_folder",
    "card",
    "fetch",
    "hancock",
    "locate",
    "simulate",
    "tcga_luad",
]
