from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from survfuse.cohort.modalities import BagData
from survfuse.cohort.principal_components import oriented, principal_axes
from survfuse.cohort.transform_bags import BagScaler
from survfuse.readers.bags import BagStore


def rows(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    spread = np.linspace(3, 0.3, min(shape))
    mixed = (
        generator.normal(size=(shape[0], len(spread)))
        * spread
        @ generator.normal(size=(len(spread), shape[1]))
    )
    return mixed - mixed.mean(axis=0)


@pytest.mark.parametrize("shape", [(12, 50), (50, 12)], ids=["wide", "tall"])
def test_axes_are_those_of_a_singular_value_decomposition(
    shape: tuple[int, int],
) -> None:
    """scikit-learn's PCA is the oracle, whichever Gram matrix is the smaller."""
    x = rows(shape)
    axes, deviations = principal_axes(x, 5)
    oracle = PCA(5, svd_solver="full").fit(x)
    np.testing.assert_allclose(axes, oriented(oracle.components_), atol=1e-9)
    np.testing.assert_allclose(deviations, (x @ axes.T).std(axis=0), rtol=1e-10)
    np.testing.assert_allclose(axes @ axes.T, np.eye(5), atol=1e-10)


def test_rows_that_span_less_give_fewer_axes() -> None:
    x = np.outer(np.arange(6) - 2.5, np.arange(1, 9))
    axes, deviations = principal_axes(x, 4)
    assert axes.shape == (1, 8)
    assert deviations.shape == (1,)
    assert len(principal_axes(np.zeros((4, 3)), 2)[0]) == 0


def test_the_sign_of_an_axis_is_fixed() -> None:
    axes = np.array([[0.6, -0.8], [-0.8, 0.6], [0.0, 1.0]])
    assert oriented(axes).tolist() == [[-0.6, 0.8], [0.8, -0.6], [0.0, 1.0]]


def bags(dim: int = 10, patients: int = 8) -> BagData:
    generator = np.random.default_rng(3)
    mixing = generator.normal(size=(4, dim))
    each = [
        (
            f"s{i}",
            f"p{i}",
            (generator.normal(size=(30, 4)) @ mixing + 2).astype(np.float16),
        )
        for i in range(patients)
    ]
    store = BagStore.from_arrays(each, encoder="toy", mpp=0.5)
    return BagData("slides", store, tuple(f"p{i}" for i in range(patients)))


def test_tile_components_are_the_principal_components_of_scaled_training_tiles() -> (
    None
):
    """Against scikit-learn on the same tiles; mean variance 1, relative variances kept."""
    data = bags()
    train = [f"p{i}" for i in range(6)]
    scaler = BagScaler.fit(data, train, scaling="standard", components=3)
    assert scaler.width == 3
    assert scaler.features == ("slides_pc0", "slides_pc1", "slides_pc2")
    tiles = data.store.gather(train)[0]
    scaled = BagScaler.fit(data, train, scaling="standard").scale(tiles)
    oracle = PCA(3, svd_solver="full").fit(scaled)
    scores = (
        oriented(oracle.components_)
        @ scaled.T
        / np.sqrt((scaled @ oracle.components_.T).var(axis=0).mean())
    )
    np.testing.assert_allclose(scaler.scale(tiles), scores.T, atol=2e-3)
    assert scaler.scale(tiles).var(axis=0).mean() == pytest.approx(1, abs=1e-3)


def test_other_patients_do_not_turn_the_axes() -> None:
    data, train = bags(), [f"p{i}" for i in range(6)]
    one = BagScaler.fit(data, train, scaling="standard", components=3)
    again = BagScaler.fit(data.subset(train), train, scaling="standard", components=3)
    assert one.axes is not None
    assert again.axes is not None
    assert one.axes.tobytes() == again.axes.tobytes()


def test_as_many_components_as_features_change_nothing() -> None:
    assert BagScaler.fit(bags(), ["p0"], scaling="standard", components=10).axes is None
