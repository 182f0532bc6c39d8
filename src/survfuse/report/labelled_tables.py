"""Tables of the report with the words of the cohort file for modalities, columns and values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import pandas as pd

from survfuse.cohort.labels import Labels

LOSSES_OF_MODALITIES = ("removed", "only")


def labelled_tables(
    frames: Mapping[str, pd.DataFrame],
    labels: Labels,
) -> dict[str, pd.DataFrame]:
    """Tables that name modalities, terms or subgroups, as a reader sees them.

    Parameters
    ----------
    frames : mapping of name to DataFrame
    labels : Labels

    Returns
    -------
    dict of name to DataFrame
        `modalities`, `patterns`, `increments` (with the name of the modality as `key`), `terms`,
        `robustness` and `subgroups`.
    """
    modalities, patterns = frames["modalities"], frames["patterns"]
    increments, terms = frames["increments"], frames["terms"]
    named = [*modalities["name"], *patterns["modalities"].explode().dropna()]
    by_name = distinct(named, labels.modality)
    combinations = []
    for names in patterns["modalities"]:
        combinations.append(tuple(by_name[name] for name in names))
    return {
        "modalities": modalities.assign(name=modalities["name"].map(by_name)),
        "patterns": patterns.assign(
            modalities=pd.Series(combinations, patterns.index, dtype=object)
        ),
        "increments": _mapped(
            increments.assign(key=increments["modality"]), "modality", labels.modality
        ),
        "terms": _mapped(terms, "term", labels.term),
        "robustness": _losses(frames["robustness"], labels),
        "subgroups": _subgroups(frames["subgroups"], labels),
    }


def distinct(names: Iterable[str], title_of: Callable[[str], str]) -> dict[str, str]:
    """Words by name; where two names have one word, the names stand beside it.

    >>> distinct(["a", "b", "c"], {"a": "blood", "b": "blood", "c": "slides"}.__getitem__)
    {'a': 'blood (a)', 'b': 'blood (b)', 'c': 'slides'}
    """
    by_name = {name: title_of(name) for name in names}
    given = list(by_name.values())
    for name, text in by_name.items():
        if given.count(text) > 1:
            by_name[name] = f"{text} ({name})"
    return by_name


def _mapped(
    table: pd.DataFrame, column: str, title_of: Callable[[str], str]
) -> pd.DataFrame:
    return table.assign(
        **{column: table[column].map(distinct(table[column], title_of))}
    )


def _losses(table: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Losses, of which those of clinical values have a share in place of a modality."""
    of_modality = table["kind"].isin(LOSSES_OF_MODALITIES)
    by_name = distinct(table.loc[of_modality, "what"], labels.modality)
    return table.assign(
        what=table["what"].map(by_name).where(of_modality, table["what"])
    )


def _subgroups(table: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Subgroups by the words for their columns and values; a group such as a site has none."""
    table = table.copy()
    titles = distinct(table["group"], labels.of_column)
    for group, own in table.groupby("group", sort=False):
        by_name = distinct(own["level"], partial(labels.of_level, str(group)))
        table.loc[own.index, "level"] = own["level"].map(by_name)
    return table.assign(group=table["group"].map(titles))
