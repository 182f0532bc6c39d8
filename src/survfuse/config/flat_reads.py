"""TEMPORARY: reads of the fields by the names that they had before there were sections.

Delete this module, and the two classes from their bases, once every ``config.rank`` is
``config.network.rank`` and every ``config.selection`` is ``config.selection.method``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class FlatReads:
    """Answers ``config.rank`` with ``config.network.rank``."""

    def __getattr__(self, name: str) -> Any:
        from survfuse.config.sections import PARAMETERS

        if name in PARAMETERS:
            section, _, field = PARAMETERS[name].partition(".")
            return getattr(getattr(self, section), field)
        inherited: Callable[[str], Any] = super().__getattr__  # type: ignore[misc]
        return inherited(name)


class ReadAsMethod:
    """Lets a section that took the name of its first field pass for the value of that field."""

    if TYPE_CHECKING:
        method: Any

    def __eq__(self, other: object) -> bool:
        return self.method == other if isinstance(other, str) else super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self.method)

    def __str__(self) -> str:
        return str(self.method)
