"""What a notebook shows: small tables as HTML that read on light and on dark pages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from html import escape

LINE = "border-bottom:1px solid color-mix(in srgb, currentColor 25%, transparent)"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return (
        shell is not None
        and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"
    )


def html_table(
    title: str,
    columns: Sequence[str] = (),
    rows: Iterable[Sequence[object]] = (),
    lines: Iterable[str] = (),
) -> str:
    """A title, a table and some lines of text, every word of them escaped.

    Parameters
    ----------
    title : str
    columns : sequence of str
        Heads; the first column is written to the left, the others to the right.
    rows : iterable of sequence
    lines : iterable of str
        Sentences below the table.

    Examples
    --------
    >>> "<b>" in html_table("<b>")
    False
    """
    parts = [f"<div><strong>{escape(title)}</strong>"]
    if columns:
        head = "".join(_cell("th", name, at) for at, name in enumerate(columns))
        parts.append(
            f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        )
        parts.append("<tbody>")
        for row in rows:
            cells = [_cell("td", value, at) for at, value in enumerate(row)]
            parts.append(f"<tr>{''.join(cells)}</tr>")
        parts.append("</tbody></table>")
    parts += [f'<div style="opacity:.8">{escape(line)}</div>' for line in lines]
    return "".join([*parts, "</div>"])


def _cell(
    tag: str,
    value: object,
    column: int,
) -> str:
    side = "right" if column else "left"
    style = f"text-align:{side};padding:.15em .8em;{LINE}"
    return f'<{tag} style="{style}">{escape(str(value))}</{tag}>'
