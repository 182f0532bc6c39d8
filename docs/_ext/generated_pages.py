"""Pages that are written from the code at each build: commands, the cohort file, `llms.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import typer
from docutils import nodes
from sphinx.application import Sphinx

from survfuse.cli import app as commands
from survfuse.cohort.spec import CohortSpec
from survfuse.config import Frozen

GENERATED = "<!-- Written from the code at each build; edit the code. -->\n\n"


def write_commands(app: Sphinx) -> None:
    """Write every verb with its arguments and options."""
    root = typer.main.get_command(commands)
    parts = [f"{GENERATED}# Commands\n\n{_text(root.help)}\n"]
    parts.append(
        "Every verb takes `--help`, writes a machine-readable result beside the human one, and "
        "exits 0 (done), 2 (your input), 3 (done in part) or 1 (a fault of survfuse).\n"
    )
    for words, command in _commands(root, ["survfuse"]):
        parts.append(_command(" ".join(words), command))
    _write(app, "reference/cli.md", "\n".join(parts))


def _commands(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from _commands(below, [*words, name])
        elif not below.hidden:
            yield [*words, name], below


def _command(name: str, command: Any) -> str:
    rows = ["| | meaning | default |", "|---|---|---|"]
    usage = [name]
    for parameter in command.params:
        default = parameter.default
        shown = default not in (None, (), [], False) and not callable(default)
        default = f"`{_text(str(default))}`" if shown else ""
        if parameter.param_type_name == "argument":
            usage.append((parameter.metavar or parameter.name).upper())
            title = f"`{usage[-1]}`"
        else:
            title = ", ".join(f"`{one}`" for one in parameter.opts)
        rows.append(f"| {title} | {_text(parameter.help)} | {default} |")
    lines = f"## `{name}`\n\n{_text(command.help, keep=True)}\n\n"
    return f"{lines}```text\n{' '.join(usage)} [OPTIONS]\n```\n\n" + "\n".join(rows)


def write_cohort_file(app: Sphinx) -> None:
    """Write every field of a cohort file."""
    parts = [
        f"{GENERATED}# Fields of a cohort file\n\nWhat each section may say; "
        "[The cohort file](../cohort.md) explains them with examples.\n",
        _fields("cohort.yaml", CohortSpec),
    ]
    for model in _models(CohortSpec, []):
        parts.append(_fields(model.__name__, model))
    _write(app, "reference/cohort_file.md", "\n".join(parts))


def _models(model: type[Frozen], seen: list[type[Frozen]]) -> list[type[Frozen]]:
    """Models of the fields of a model, and of theirs, in order."""
    for field in model.model_fields.values():
        for kind in _kinds(field.annotation):
            if kind not in seen and kind is not model:
                seen.append(kind)
                _models(kind, seen)
    return seen


def _kinds(annotation: Any) -> Iterator[type[Frozen]]:
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _fields(title: str, model: type[Frozen]) -> str:
    rows = [
        f"## {title}\n\n{_text(model.__doc__)}\n",
        "| field | kind | meaning |",
        "|---|---|---|",
    ]
    for name, field in model.model_fields.items():
        kind = _kind(field.annotation).replace("|", "\\|")
        needed = "" if not field.is_required() else " Required."
        rows.append(f"| `{name}` | {kind} | {_text(field.description)}{needed} |")
    return "\n".join(rows) + "\n"


def _kind(annotation: Any) -> str:
    """Write a type as a reader of YAML knows it."""
    names = {
        str: "text",
        int: "number",
        float: "number",
        bool: "true or false",
        Path: "path",
    }
    if annotation in names:
        return names[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(
            dict.fromkeys(_kind(p) for p in parts if p is not type(None))
        )
    if origin is tuple or origin is list:
        return f"list of {_kind(parts[0])}"
    if origin is dict:
        return f"{_kind(parts[0])}: {_kind(parts[1])}"
    if hasattr(annotation, "__metadata__"):
        return _kind(parts[0])
    if parts:  # Literal
        return ", ".join(f"`{part}`" for part in parts)
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return str(getattr(annotation, "__name__", annotation))


SECTIONS = {
    "tutorials": "Tutorials",
    "concepts": "Concepts",
    "": "Guides",
    "howto": "Guides",
    "reference": "Reference",
    "checks": "Checks",
    "decisions": "Optional",
}
"""Heading of `llms.txt` for the pages of each folder; readers in a hurry skip `Optional`."""


SENTENCE_END = re.compile(r"(?<=\.)\s|(?<=[?!])\s(?=[A-Z])")


def write_llms(app: Sphinx, exception: Exception | None) -> None:
    """Write `llms.txt`: every page with its title and first sentence, for language models."""
    if exception is not None or app.builder.format != "html":
        return
    sections: dict[str, list[str]] = {title: [] for title in SECTIONS.values()}
    for page in sorted(app.env.found_docs):
        folder = page.split("/")[0] if "/" in page else ""
        title = app.env.titles[page].astext()
        target = app.builder.get_target_uri(page)
        about = first_sentence(app.env.get_doctree(page))
        sections[SECTIONS[folder]].append(f"- [{title}]({target}): {about}")
    parts = [
        "# survfuse\n\n> Multimodal survival prediction from whole-slide images, bulk RNA-seq and "
        "clinical variables, honestly evaluated."
    ]
    for title, pages in sections.items():
        parts.append(f"## {title}\n\n" + "\n".join(pages))
    (Path(app.outdir) / "llms.txt").write_text(
        "\n\n".join(parts) + "\n", encoding="utf-8"
    )


def first_sentence(page: nodes.document) -> str:
    """First sentence of a page's text; of a check, what it asks."""
    for paragraph in page.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        text = re.sub(r"^(Situation|Problem)\. ", "", text)
        if not text.startswith("Severity:"):
            return SENTENCE_END.split(text)[0].rstrip(":")
    return ""


def _text(text: str | None, *, keep: bool = False) -> str:
    """Text of a help or docstring as Markdown; paragraphs are kept where wanted."""
    paragraphs = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    joined = "\n\n".join(paragraphs) if keep else " ".join(paragraphs)
    return (
        joined.strip().replace("\b", "") if keep else joined.strip().replace("|", "\\|")
    )


def _write(app: Sphinx, name: str, text: str) -> None:
    path = Path(app.srcdir) / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the pages to the build."""
    app.connect("builder-inited", write_commands, priority=1)
    app.connect("builder-inited", write_cohort_file, priority=1)
    app.connect("build-finished", write_llms)
    return {"parallel_read_safe": True}
