from __future__ import annotations

from typing import Any

import pytest

from survfuse._errors import ConfigError
from survfuse.config import NOT_SEARCHED, FitConfig, SearchRange
from survfuse.models.fusion import FUSIONS
from survfuse.tuning.search import with_values
from survfuse.tuning.space import RANKED, grid_points, space_of

ALL = ("clinical", "expression", "bag")


@pytest.mark.parametrize("how", ["grid", "optuna"])
@pytest.mark.parametrize("fusion", sorted({"anchored", *FUSIONS}))
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_every_model_has_a_space_whose_values_it_takes(
    how: str,
    fusion: str,
    preset: str,
) -> None:
    fields: dict[str, Any] = {"loss": "efron"} if fusion == "anchored" else {}
    config = FitConfig.of(preset, search=how, fusion=fusion, **fields)
    space = space_of(config, ALL)
    assert space
    assert not set(space) & NOT_SEARCHED
    for name, options in space.items():
        ends = (
            (options.low, options.high) if isinstance(options, SearchRange) else options
        )
        for value in ends:
            assert with_values(config, {name: value}, 0).parameters()[name] == value
    assert ("rank" in space) == (fusion in RANKED)


def test_a_space_holds_nothing_that_the_modalities_do_not_use() -> None:
    config = FitConfig.of(search="grid")
    assert set(space_of(config, ALL)) == {
        "expression_components",
        "anchor_vectors",
        "bag_components",
    }
    assert space_of(config, ("clinical", "table")) == {}
    assert set(space_of(config, ("bag",))) == {"bag_components"}
    genes = FitConfig.of(search="grid", expression_components=None, bag_components=None)
    assert set(space_of(genes, ALL)) == {"anchor_vectors"}


def test_the_built_in_grid_lies_around_the_given_values() -> None:
    config = FitConfig.of("paper", search="grid", fusion="concat")
    space = space_of(config, ALL)
    assert space["learning_rate"] == (3.33e-5, 1e-4, 3e-4)
    assert space["weight_decay"] == (0.1, 0.3, 0.9)
    assert "weight_decay" not in space_of(
        FitConfig.of(search="grid", fusion="late", weight_decay=0),
        ALL,
    )


def test_a_given_space_is_taken_as_it_is() -> None:
    space = {"rank": [2, 4], "vector_hidden": [[], [8, 4]]}
    config = FitConfig.of(search="grid", search_space=space)
    assert space_of(config, ALL) == {"rank": (2, 4), "vector_hidden": ([], [8, 4])}
    points, possible = grid_points(space_of(config, ALL), 20, 0)
    assert possible == len(points) == 4
    assert points[1] == {"rank": 2, "vector_hidden": [8, 4]}
    assert with_values(config, points[1], 0).network.vector_hidden == (8, 4)


def test_a_large_grid_is_drawn_from() -> None:
    space = {"rank": tuple(range(1, 11)), "members": tuple(range(1, 11))}
    points, possible = grid_points(space, 7, 3)
    assert (len(points), possible) == (7, 100)
    assert points == grid_points(space, 7, 3)[0] != grid_points(space, 7, 4)[0]
    assert len({tuple(point.items()) for point in points}) == 7


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"search_space": {"rank": [1]}}, "space is read by a search alone"),
        (
            {"search": "grid", "search_space": {"rnak": [1]}},
            "'rnak' is no field that can be searched; did you mean 'rank'",
        ),
        (
            {"search": "optuna", "search_space": {"seed": [1, 2]}},
            "'seed' is no field that can be searched",
        ),
        (
            {"search": "grid", "search_space": {"rank": {"low": 1, "high": 4}}},
            "rank: a grid needs a list of values, got a range",
        ),
        (
            {"search": "grid", "search_space": {"rank": []}},
            "rank: expected one value or more",
        ),
        (
            {"search": "optuna", "search_space": {"rank": {"low": 4, "high": 4}}},
            "low must be smaller than high, got 4 and 4",
        ),
        (
            {
                "search": "optuna",
                "search_space": {"dropout": {"low": 0, "high": 0.5, "log": True}},
            },
            "orders of magnitude begin above 0, got low 0",
        ),
        (
            {"search": "random"},
            "search.method: Input should be 'none', 'grid' or 'optuna'",
        ),
        ({"search_seconds": 0}, "search.seconds: Input should be greater than 0"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(
    fields: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        FitConfig.of(**fields)


def test_a_space_survives_yaml_and_json() -> None:
    config = FitConfig.of(
        search="optuna",
        search_space={
            "dropout": {"low": 0.1, "high": 0.5},
            "rank": {"low": 2, "high": 9},
        },
    )
    again = FitConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again.search.space is not None
    assert again.search.space["rank"].whole  # type: ignore[union-attr]
    assert not again.search.space["dropout"].whole  # type: ignore[union-attr]
