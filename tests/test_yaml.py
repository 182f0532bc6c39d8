"""YAML is read within limits: nothing in it can take the time or memory of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from survfuse._errors import ConfigError
from survfuse._yaml import LONGEST, MOST_NODES, SIZE_LIMIT, parse_yaml, read_yaml

LISTS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 9)
)


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LISTS, f"more than {MOST_NODES} values, aliases written out"),
        (MERGES, f"more than {MOST_NODES} values, aliases written out"),
        ("a: &a [*a]", r"\*a stands inside of what it refers to"),
        ("[" * 100_000, "nested deeper than 50 levels"),
        ("- " * 1_000, "nested deeper than 50 levels"),
        ("a: " + "x" * (LONGEST + 1), f"a word of {LONGEST + 1} characters"),
        ("a: {b: 1, b: 2}", "key 'b' appears twice"),
        ("&a {x: 1, x: 2}", "key 'x' appears twice"),
        ('a: "\\ud800"', "expected YAML .UnicodeEncodeError"),
        ("a\0b", "not YAML: unacceptable character"),
        (
            "!!python/object/apply:os.system [ls]",
            "not YAML: could not determine a constructor",
        ),
        ("!!float ''", "expected YAML"),
        ("!!bool x", "expected YAML"),
        ("{[a]: 1}", "not YAML"),
    ],
)
def test_bombs_and_broken_text_are_refused(
    text: str,
    message: str,
    words: bool,
) -> None:
    with pytest.raises(ConfigError, match=rf"^run\.yaml: (not YAML: )?{message}"):
        parse_yaml(text, "run.yaml", words=words)


@pytest.mark.parametrize(
    "number",
    ["9" * 5000, "0x" + "f" * 5000, ":".join(["1"] * 2000), "1" * 200 + ".5"],
)
def test_a_number_of_many_digits_is_never_computed(number: str) -> None:
    with pytest.raises(ConfigError, match=r"a number of \d+ digits"):
        parse_yaml(f"tau: {number}", "run.yaml")
    assert parse_yaml(f"tau: {number}", "run.yaml", as_text=True) == {"tau": number}


def test_aliases_and_merges_of_people_are_read() -> None:
    text = "base: &b {kind: numeric, use: no}\nage: *b\nhb: {<<: *b, use: yes}\n"
    assert parse_yaml(text, "c.yaml", as_text=True) == {
        "base": {"kind": "numeric", "use": "no"},
        "age": {"kind": "numeric", "use": "no"},
        "hb": {"kind": "numeric", "use": "yes"},
    }


def test_only_a_regular_file_of_text_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (SIZE_LIMIT + 1))
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    for name, message in (
        ("pipe.yaml", "expected a file, got a pipe"),
        ("large.yaml", r"at most 2\.0 MiB are read"),
        ("latin.yaml", "expected UTF-8 text .*save it as UTF-8"),
        ("none.yaml", "no such file"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_yaml(tmp_path / name)
