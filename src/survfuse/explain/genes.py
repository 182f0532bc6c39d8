"""Weights and contributions of genes and gene sets."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def genes(explained: Explained) -> pd.DataFrame:
    """Weight of each gene."""
    raise NotImplementedError


def gene_sets(explained: Explained) -> pd.DataFrame:
    """Weight of each gene set."""
    raise NotImplementedError


def genes_of(explained: Explained, patient: str) -> pd.DataFrame:
    """Contribution of each gene."""
    raise NotImplementedError
