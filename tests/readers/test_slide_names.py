"""Endings, folders, letter case and accents: what makes two names one slide."""

from __future__ import annotations

import unicodedata

import pytest

from survfuse.readers.formats import format_by_suffix
from survfuse.readers.slide_names import (
    SLIDE_SUFFIXES,
    match_names,
    name_stems,
    slide_stem,
)

TCGA = "TCGA-05-4249-01Z-00-DX1.9FCE0297-CC19-4C04-872C-4466EE4024DB"


@pytest.mark.parametrize(
    "ending",
    [*format_by_suffix(), *SLIDE_SUFFIXES, ".ome.tif", ".ome.tiff", ".svs.h5"],
)
def test_endings_of_slides_and_features_are_taken_off_alike(ending: str) -> None:
    for name in (TCGA, "slide_0", "1.2.840.113"):
        assert slide_stem(name + ending) == name
        assert slide_stem(name + ending.upper()) == name
        assert match_names([name + ending], [name]) == {name + ending: name}


@pytest.mark.parametrize(
    "name",
    [TCGA, "a.b.c", "report.csv", "h5", ".h5", "h5.", "slide.v2"],
)
def test_nothing_else_is_taken_off(name: str) -> None:
    assert name_stems(name) == (name,)


def test_the_same_text_goes_first() -> None:
    assert match_names(["a.svs", "a"], ["a", "a.svs"]) == {"a.svs": "a.svs", "a": "a"}


def test_blanks_of_a_file_name_are_those_of_a_table() -> None:
    """Reading a table makes every blank plain and takes invisible letters out."""
    assert match_names(["a b", "cd"], ["a\u00a0b", "c\u200bd"]) == {
        "a b": "a\u00a0b",
        "cd": "c\u200bd",
    }


def test_folders_are_no_part_of_a_name() -> None:
    assert match_names(["site1/a.h5", r"site2\b.svs"], ["a", "b"]) == {
        "site1/a.h5": "a",
        r"site2\b.svs": "b",
    }


def test_a_file_named_after_the_whole_slide_file_is_found() -> None:
    ids = {"a": "a.svs", "b.ome.tiff": "b.ome", "c": "c.ome", "d.ome": "d"}
    assert match_names(ids, ids.values()) == ids


def test_accents_may_be_composed_or_not() -> None:
    one, other = (
        unicodedata.normalize(form, "Müller_é.svs") for form in ("NFC", "NFD")
    )
    assert one != other
    assert match_names([one], [slide_stem(other)]) == {one: slide_stem(other)}


def test_letter_case_is_ignored_only_where_one_is_left_over() -> None:
    assert match_names(["S1.SVS"], ["s1"]) == {"S1.SVS": "s1"}
    assert match_names(["a1", "A1"], ["a1"]) == {"a1": "a1"}
    assert match_names(["A1"], ["a1", "a1.svs"]) == {}
    assert match_names(["A1", "a1.SVS"], ["a1", "A1"]) == {"A1": "A1", "a1.SVS": "a1"}


def test_what_two_files_could_be_is_neither() -> None:
    assert match_names(["a.tif"], ["a.svs", "a.ndpi"]) == {}
