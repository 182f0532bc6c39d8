"""YAML from any source: plain values, no key twice, no more of them than people write."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from survfuse._errors import ConfigError, InputError
from survfuse._gate import boundary, read_text

SIZE_LIMIT = 2 * 2**20  # bytes
MOST_NODES = 120_000  # keys, values, lists and mappings; an alias counts as its content
DEEPEST = 50
LONGEST = 10_000  # characters of one word
LONGEST_NUMBER = 100
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """A safe loader that counts what it makes, and refuses a key that stands twice in a mapping."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(
        self,
        parent: yaml.Node | None,
        index: Any,
    ) -> yaml.Node | None:
        """Compose one node within the limits."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._nodes
        self._nodes += 1
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refusal(f"nested deeper than {DEEPEST} levels", event)
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST:
            raise _refusal(
                f"a word of {len(event.value)} characters, at most {LONGEST} are read",
                event,
            )
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _refusal(
                    f"*{event.anchor} stands inside of what it refers to",
                    event,
                )
            self._nodes += self._sizes[node]
        if self._nodes > MOST_NODES:
            raise _refusal(f"more than {MOST_NODES} values, aliases written out", event)
        self._depth -= 1
        if node is not None:
            self._sizes.setdefault(node, self._nodes - before)
        return node

    def construct_scalar(self, node: Any) -> Any:
        """Take the text of a scalar; a number of many digits is refused before it is computed."""
        if (
            node.tag in (f"{_TAG}int", f"{_TAG}float")
            and len(node.value) > LONGEST_NUMBER
        ):
            raise _refusal(f"a number of {len(node.value)} digits", node)
        value = super().construct_scalar(node)
        if isinstance(value, str) and not value.isascii():
            value.encode()  # half a character (a lone surrogate) can be written nowhere
        return value

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,
    ) -> dict[Hashable, Any]:
        """Make a mapping; keys are compared before merges (<<), whose keys may repeat."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _refusal(f"key {key.value!r} appears twice", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _TextLoader(_Loader):
    """Every plain scalar but null is text."""


_TextLoader.yaml_implicit_resolvers = {}
for _letter, _resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
    _TextLoader.yaml_implicit_resolvers[_letter] = [
        resolver
        for resolver in _resolvers
        if resolver[0] in (f"{_TAG}null", f"{_TAG}merge")
    ]


def _refusal(message: str, place: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, message, place.start_mark)


def parse_yaml(
    text: str,
    where: Path | str,
    *,
    as_text: bool = False,
    error: type[InputError] = ConfigError,
) -> Any:
    """Make plain values of YAML text.

    Parameters
    ----------
    text : str
    where : path or str
        For messages.
    as_text : bool
        Leave every scalar but null as the text that it is.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        When it is no YAML, repeats a key, or is larger, deeper or longer than anyone writes it.

    Examples
    --------
    >>> parse_yaml("{id: 007, on: no}", "a.yaml")
    {'id': 7, True: False}
    >>> parse_yaml("{id: 007, on: no}", "a.yaml", as_text=True)
    {'id': '007', 'on': 'no'}
    """
    with boundary(
        where,
        "YAML",
        error=error,
        remedy="correct it",
    ):
        try:
            return yaml.load(
                text,
                Loader=_TextLoader if as_text else _Loader,
            )  # both are SafeLoaders
        except yaml.YAMLError as failure:
            raise error(f"{where}: not YAML: {failure}") from None


def read_yaml(
    path: Path | str,
    *,
    as_text: bool = False,
    error: type[InputError] = ConfigError,
) -> Any:
    """Read a YAML file (see :func:`parse_yaml`)."""
    return parse_yaml(
        read_text(
            path,
            limit=SIZE_LIMIT,
            error=error,
        ),
        path,
        as_text=as_text,
        error=error,
    )
