"""A page of the report, read back."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from survfuse.report import write_report


class Page(HTMLParser):
    """Tags, attributes, text and whether every element is closed."""

    void = frozenset({"meta", "br", "img", "link", "input", "hr", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.within_words = False  # a link to the glossary splits no word
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)
        self.within_words = dict(attrs).get("class") == "term"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.within_words = self.within_words and tag == "a"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            if self.within_words and self.words:
                self.words[-1] += data
            else:
                self.words.append(data)


def read(out: Path) -> Page:
    page = Page(write_report(out).read_text(encoding="utf-8"))
    assert page.open == []
    return page
