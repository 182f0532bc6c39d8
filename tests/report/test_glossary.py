from __future__ import annotations

import re
from pathlib import Path

from report.reading import Page
from survfuse.report.glossary import entries, link_terms


def test_each_term_is_linked_once_in_running_text() -> None:
    html = (
        "<h2>Uno C</h2><p>Uno C, the concordance, and <b>Harrell C</b>.</p><p>Uno C</p>"
    )
    linked = link_terms(html)
    assert linked.count("#term-concordance") == 1
    assert '<h2>Uno C</h2><p><a class="term" href="#term-concordance">Uno C</a>' in (
        linked
    )
    assert re.sub("</?a[^>]*>", "", linked) == html


def test_figures_links_code_and_attributes_stay_as_they_are() -> None:
    html = (
        '<svg aria-label="Uno C"><text>AUC</text></svg><a href="#x">AUC</a>'
        "<code>late fusion</code><summary>Holm</summary><table><tr><th>AUC</th></tr></table>"
    )
    assert link_terms(html) == html


def test_parts_of_words_are_no_terms() -> None:
    assert link_terms("<p>uneventful, eventual, AUCs</p>") == (
        "<p>uneventful, eventual, AUCs</p>"
    )


def test_keys_and_words_are_given_once() -> None:
    keys = [entry.key for entry in entries()]
    words = [word.casefold() for entry in entries() for word in entry.names]
    assert len(set(keys)) == len(keys)
    assert len(set(words)) == len(words)


def test_the_page_defines_every_term_that_it_links(
    full: Page, full_folder: Path
) -> None:
    ids = [attributes.get("id") for _, attributes in full.tags]
    links = [of["href"] for tag, of in full.tags if of.get("class") == "term"]
    assert len(links) == len(set(links)) > 10
    assert {link for link in links if link} <= {f"#{name}" for name in ids if name}
    text = (full_folder / "report.html").read_text(encoding="utf-8")
    assert text.index('href="#term-concordance"') < text.index('id="groups"')
