from __future__ import annotations

import inspect as python_inspect

import pytest

from survfuse import _errors
from survfuse._errors import (
    CohortError,
    ConfigError,
    InputError,
    MissingExtraError,
    NotComputableError,
    PartialError,
    SurvfuseError,
    context,
    listed,
    printable,
)

CLASSES = [one for _, one in python_inspect.getmembers(_errors, python_inspect.isclass)]
TREE = [one for one in CLASSES if not issubclass(one, Warning)]


def test_the_drawn_tree_names_every_error() -> None:
    assert _errors.__doc__ is not None
    for one in TREE:
        if one.__module__ == _errors.__name__:
            assert one.__name__ in _errors.__doc__
            assert issubclass(one, SurvfuseError)
            assert one.__doc__


def test_exit_codes_say_whose_turn_it_is() -> None:
    leaves = {
        one.__name__: one.exit_code
        for one in TREE
        if one.__module__ == _errors.__name__
    }
    assert leaves == {
        "SurvfuseError": 1,
        "InputError": 2,
        "ConfigError": 2,
        "CohortError": 2,
        "FeatureFileError": 2,
        "SlideError": 2,
        "TransformError": 2,
        "LeakageError": 2,
        "BundleError": 2,
        "MissingExtraError": 2,
        "NotComputableError": 2,
        "CrashError": 1,
        "PartialError": 3,
    }
    assert issubclass(MissingExtraError, ImportError)
    assert not issubclass(NotComputableError, InputError)
    assert not issubclass(PartialError, InputError)


def test_context_says_where_and_keeps_the_kind() -> None:
    with (
        pytest.raises(CohortError, match=r"^fold 2: patient P1: time must be > 0$"),
        context("fold 2"),
        context("patient P1"),
    ):
        raise CohortError("time must be > 0")


def test_context_leaves_foreign_errors_alone() -> None:
    with pytest.raises(KeyError, match=r"^'age'$"), context("fold 2"):
        raise KeyError("age")


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (range(5), "0, 1, 2, 3, 4"),
        (range(7), "0, 1, 2, 3, 4 and 2 more"),
    ],
)
def test_many_things_are_listed_briefly(items: list[object], text: str) -> None:
    assert listed(items) == text


def test_config_errors_are_input_errors() -> None:
    assert issubclass(ConfigError, InputError)


def test_control_characters_are_written_out() -> None:
    assert printable("\x1b[1mbold\x07 é\n") == "\\x1b[1mbold\\x07 é\n"
