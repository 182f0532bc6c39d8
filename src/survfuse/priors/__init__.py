"""Priors: a risk of gene expression that several cohorts teach, fitted and judged left out.

Import :func:`fit_prior` from here; :mod:`survfuse.readers.priors` reads and writes what it gives.
"""

from survfuse.priors.fitting import fit_prior

__all__ = ["fit_prior"]
