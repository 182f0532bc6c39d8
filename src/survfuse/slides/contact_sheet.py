"""The contact sheet: every slide at a glance on one page that needs nothing but itself."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from survfuse._storage import atomic_path

ORDER = ("failed", "quarantined", "empty", "running", "pending", "done")
NEED_A_LOOK = ("failed", "quarantined", "empty")
BLURRY = 30.0
"""Median variance of the Laplacian below which a slide looks blurred."""
FEW_TILES = 10
MUCH_PEN = 0.05
MUCH_LEFT_OUT = 0.3
PAGE_BYTES = 250 * 10**6
"""Pictures are made smaller when a page would pass this."""


def write_contact_sheet(
    out: Path | str,
    records: Sequence[Mapping[str, Any]],
    images: Mapping[str, bytes],
) -> Path:
    """Write a page with a card for every slide; those that need a look come first.

    Parameters
    ----------
    out : path
        The page, or the folder that gets ``contact.html``.
    records : sequence of mapping
        As of :class:`survfuse.slides.slide_records.Record`; what is absent is not shown.
    images : mapping of slide id to JPEG

    Returns
    -------
    Path
        The page; without scripts, and everything that comes from outside is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Path(out)
    page = page if page.suffix.lower() == ".html" else page / "contact.html"
    environment = Environment(
        loader=PackageLoader("survfuse.slides", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plural"] = _plural
    cards = [_card(record) for record in records]
    cards.sort(key=lambda card: (card["order"], not card["remarks"], card["slide_id"]))
    counts = Counter(card["status"] for card in cards)
    stream = environment.get_template("contact.html.j2").stream(
        statuses=[(status, counts[status]) for status in ORDER if counts[status]],
        look=sum(card["look"] for card in cards),
        patients=len({record.get("patient_id") for record in records}),
        tiles=sum(card["tiles"] for card in cards),
        slides=len(cards),
        cards=_with_pictures(cards, images),
        blurry=f"{BLURRY:g}",
    )
    with atomic_path(page) as temporary:
        stream.dump(str(temporary), encoding="utf-8")
    return page


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _card(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a slide; parts of the record that are absent are empty."""
    card = {"slide_id": "", "patient_id": "", "reason": "", **record}
    for name in ("slide", "tissue", "quality", "dropped"):
        card[name] = card.get(name) or {}
    for name in ("tiles", "chosen", "unreadable"):
        card[name] = int(card.get(name) or 0)
    if card.get("status") not in ORDER:
        card["status"] = "pending"
    card["order"] = ORDER.index(card["status"])
    card["remarks"] = _remarks(card)
    card["look"] = bool(card["remarks"]) or card["status"] in NEED_A_LOOK
    card["left_out"] = {**card["dropped"], "unreadable": card["unreadable"]}
    return card


def _remarks(card: Mapping[str, Any]) -> list[str]:
    """What a person should look at, in words."""
    remarks = [*(card["slide"].get("notes") or ())]
    if card["status"] != "empty":  # its reason has the notes of its tissue
        remarks += card["tissue"].get("notes") or ()
    if card["status"] != "done":
        return remarks
    tiles, chosen = card["tiles"], card["chosen"]
    if tiles < FEW_TILES:
        remarks.append(f"only {_plural(tiles, 'tile')}")
    if chosen and 1 - tiles / chosen > MUCH_LEFT_OUT:
        remarks.append(f"{1 - tiles / chosen:.0%} of the tiles on tissue were left out")
    pen = card["tissue"].get("pen_share") or 0
    if pen > MUCH_PEN:
        remarks.append(f"marker pen on {pen:.0%} of the slide")
    blur = card["quality"].get("blur")
    if blur is not None and blur < BLURRY:
        remarks.append("looks blurred")
    return remarks


def _with_pictures(
    cards: Sequence[dict[str, Any]],
    images: Mapping[str, bytes],
) -> Iterator[dict[str, Any]]:
    """Add the picture of each card as base64, made smaller where the page would grow too large."""
    most = PAGE_BYTES * 3 // 4 // max(1, len(cards))
    for card in cards:
        jpeg = images.get(card["slide_id"], b"")
        if len(jpeg) > most:
            from survfuse.slides.thumbnails import smaller

            jpeg = smaller(jpeg, max(most, 2_000))
        yield {**card, "picture": base64.b64encode(jpeg).decode("ascii")}
