from __future__ import annotations

import pytest

from survfuse._errors import ConfigError
from survfuse._registry import Card, Registry, resolve
from survfuse.models.fusion import FUSIONS
from survfuse.models.heads import HEADS
from survfuse.models.pooling import POOLINGS


@pytest.fixture
def shapes() -> Registry[int]:
    registry: Registry[int] = Registry("shape")

    @registry.register("square", summary="equal sides", source="Euclid I.46")
    def square(sides: int = 4, *, scale: int = 1) -> int:
        return sides * scale

    registry.register("triangle", summary="three sides", source="ours")(lambda: 3)
    return registry


def test_a_name_resolves_to_a_card_and_builds(shapes: Registry[int]) -> None:
    assert isinstance(shapes["square"], Card)
    assert shapes["square"].source == "Euclid I.46"
    assert shapes.build("square", 5, scale=2) == 10
    assert list(shapes) == ["square", "triangle"]
    assert len(shapes) == 2
    assert "square" in shapes
    assert "circle" not in shapes


def test_an_unknown_name_lists_the_known(shapes: Registry[int]) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^unknown shape 'circle'; known: square, triangle$",
    ):
        shapes.build("circle")


def test_a_name_is_registered_once(shapes: Registry[int]) -> None:
    with pytest.raises(ValueError, match=r"shape 'square' is registered twice"):
        shapes.register("square", summary="again", source="ours")(lambda: 4)


@pytest.mark.parametrize(
    "registry",
    [FUSIONS, HEADS, POOLINGS],
    ids=lambda one: one.kind,
)
def test_every_registered_thing_has_a_whole_card(registry: Registry[object]) -> None:
    assert len(registry)
    for name, card in registry.items():
        assert card.name == name
        assert callable(card.build)
        assert card.summary
        assert card.source


def test_a_door_to_a_higher_floor_is_opened_when_called() -> None:
    assert resolve("survfuse._errors:listed")(["a"]) == "a"
