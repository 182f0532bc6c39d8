"""Principal components by way of the smaller Gram matrix."""

from __future__ import annotations

import numpy as np

from survfuse._types import AnyArray, FloatArray

RANK_TOLERANCE = 1e-6
"""Of the largest deviation; the Gram matrix squares it, so half the digits are left."""


def principal_axes(
    x: AnyArray,
    wanted: int,
) -> tuple[FloatArray, FloatArray]:
    """Find the directions of largest variance of centred rows.

    Takes the eigenvectors of ``x x^T`` or ``x^T x``, whichever is smaller: for 176
    patients and 19,359 genes a hundredth of the work of a singular value
    decomposition, and exact for components that stand out of rounding.

    Parameters
    ----------
    x : array, (rows, features)
        Each column centred.
    wanted : int
        Most components; fewer come where the rows span fewer.

    Returns
    -------
    axes : array, (components, features)
        Orthonormal; the entry of largest absolute value of each is positive.
    deviations : array, (components,)
        Population standard deviation of the scores, falling.
    """
    rows, features = x.shape
    wide = rows < features
    gram = x @ x.T if wide else x.T @ x
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    values, vectors = values[::-1][:wanted], vectors[:, ::-1][:, :wanted]
    singular = np.sqrt(np.maximum(values, 0.0))
    largest = max(float(singular.max(initial=0.0)), 1e-300)
    spanned = singular > RANK_TOLERANCE * largest
    singular, vectors = singular[spanned], vectors[:, spanned]
    axes = (vectors.T @ x) / singular[:, None] if wide else vectors.T
    return oriented(np.asarray(axes, np.float64)), singular / np.sqrt(max(rows, 1))


def oriented(axes: FloatArray) -> FloatArray:
    """Make the largest absolute entry of each row positive: the sign of an axis is free."""
    strongest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(strongest < 0, -1.0, 1.0)
