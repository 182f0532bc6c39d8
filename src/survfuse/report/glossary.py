"""The glossary of the report, and links to it from the first use of each term."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from survfuse.report.wording import load

TAGS = re.compile(r"(<[^>]*>)")
UNLINKED = {"a", "code", "dt", "h1", "h2", "h3", "pre", "style", "summary", "svg", "th"}
"""Elements whose text gets no links: headings, code, figures, and what is a link already."""
VOID = {"br", "col", "hr", "img", "input", "meta"}


class Entry(NamedTuple):
    """A term: its key, its title, the names by which texts call it, and what it means."""

    key: str
    title: str
    names: Sequence[str]
    text: str


@cache
def entries() -> tuple[Entry, ...]:
    """All terms, in the order of their titles."""
    read = [Entry(**record) for record in load("glossary.yaml")]
    return tuple(sorted(read, key=lambda entry: entry.title.casefold()))


def link_terms(html: str) -> str:
    """Link the first use of each term in running text to its entry in the glossary.

    Parameters
    ----------
    html : str
        A part of the page, every text of it escaped.

    Examples
    --------
    >>> print(link_terms("<h2>AUC</h2><p>The AUC is no other AUC.</p>"))
    <h2>AUC</h2><p>The <a class="term" href="#term-auc">AUC</a> is no other AUC.</p>
    """
    keys = {name.casefold(): entry.key for entry in entries() for name in entry.names}
    open_tags: list[str] = []
    parts = TAGS.split(html)
    for place, part in enumerate(parts):
        if place % 2:
            _follow(part, open_tags)
        elif keys and not UNLINKED.intersection(open_tags):
            parts[place] = _linked(part, keys)
    return "".join(parts)


def _follow(tag: str, open_tags: list[str]) -> None:
    """Keep the list of open elements up to date with a tag."""
    match = re.match(r"<(/?)([a-zA-Z0-9]+)", tag)
    if match is None or match[2] in VOID or tag.endswith("/>"):
        return
    if not match[1]:
        open_tags.append(match[2])
    elif match[2] in open_tags:
        del open_tags[len(open_tags) - 1 - open_tags[::-1].index(match[2]) :]


def _linked(text: str, keys: dict[str, str]) -> str:
    """Link the terms of a text that have no link yet, and strike their names off `keys`."""

    def link(match: re.Match[str]) -> str:
        key = keys.get(match[0].casefold())
        if key is None:
            return match[0]
        for name in [name for name, of in keys.items() if of == key]:
            del keys[name]
        return f'<a class="term" href="#term-{key}">{match[0]}</a>'

    return _pattern().sub(link, text)


@cache
def _pattern() -> re.Pattern[str]:
    """Pattern of the names of all terms, the longest first."""
    names = [name for entry in entries() for name in entry.names]
    ordered = sorted(names, key=len, reverse=True)
    return re.compile(
        rf"(?<![\w-])(?:{'|'.join(map(re.escape, ordered))})(?![\w-])", re.IGNORECASE
    )
