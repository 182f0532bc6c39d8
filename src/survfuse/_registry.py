"""A name resolves to a card; the card tells what stands behind it and builds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from survfuse._errors import ConfigError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Card(Generic[T]):
    """Everything about one registered thing.

    Attributes
    ----------
    name : str
        The word used in configurations.
    build : callable
        Makes the thing.
    summary : str
        One line for tables and help pages.
    source : str
        Paper and equation, or "ours".
    """

    name: str
    build: Callable[..., T]
    summary: str
    source: str


def load_plugin(point: EntryPoint) -> None:
    """Import the module that another package names in an entry point.

    Raises
    ------
    ConfigError
        When it cannot be imported: names the package.
    """
    try:
        point.load()
    except Exception as error:  # the code of others may raise anything
        package = point.dist.name if point.dist else point.value
        raise ConfigError(
            f"package {package!r} has the plug-in {point.name!r} ({point.group}), but its module "
            f"{point.value} cannot be imported: {type(error).__name__}: {error}; repair or "
            "uninstall the package",
        ) from error


class Registry(Mapping[str, Card[T]]):
    """Cards of one kind by name; other packages add theirs through entry points.

    The entry points of `group` name modules (``my_package.fusion``) that call
    :meth:`register` when they are imported. They are imported at the first look-up.

    Parameters
    ----------
    kind : str
        What is registered, for messages ("fusion").
    group : str, optional
        Group of entry points (``survfuse.fusions``) that other packages extend the registry with.

    Raises
    ------
    ConfigError
        At the first look-up, when a package that extends the registry cannot be imported.

    Examples
    --------
    >>> shapes: Registry[int] = Registry("shape")
    >>> @shapes.register("square", summary="four equal sides", source="Euclid I.46")
    ... def square() -> int:
    ...     return 4
    >>> shapes.build("square")
    4
    >>> shapes.build("sqare")
    Traceback (most recent call last):
    survfuse._errors.ConfigError: unknown shape 'sqare'; known: square
    """

    def __init__(
        self,
        kind: str,
        *,
        group: str | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._cards: dict[str, Card[T]] = {}
        self._plugins_loaded = group is None

    def register(
        self,
        name: str,
        *,
        summary: str,
        source: str,
    ) -> Callable[[F], F]:
        """Decorate a factory (function or class) with its card."""

        def add(build: F) -> F:
            if name in self._cards:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._cards[name] = Card(name, build, summary, source)
            return build

        return add

    def build(
        self,
        name: str,
        *args: Any,
        **kwargs: Any,
    ) -> T:
        """Make the thing called `name`."""
        return self[name].build(*args, **kwargs)

    def __getitem__(self, name: str) -> Card[T]:
        self._load_plugins()
        try:
            return self._cards[name]
        except KeyError:
            known = ", ".join(sorted(self._cards))
            raise ConfigError(f"unknown {self.kind} {name!r}; known: {known}") from None

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        # First, as a module may look something up while it is imported.
        self._plugins_loaded = True
        try:
            for point in entry_points(group=str(self.group)):
                load_plugin(point)
        except ConfigError:
            self._plugins_loaded = False
            raise

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._cards

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return iter(self._cards)

    def __len__(self) -> int:
        self._load_plugins()
        return len(self._cards)


def resolve(path: str) -> Any:
    """Import ``package.module:name`` when it is called for.

    For the few doors that open onto a higher floor (`Result.report`), so that no
    module imports upward.
    """
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
