"""What plugins offer under a name, and which of it a name means."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from kestrel_framework.errors import ConfigurationError


class Named(Protocol):
    """Something that a plugin offers under a name."""

    @property
    def name(self) -> str: ...
    @property
    def plugin(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)


class NamedOffers(Generic[NamedT]):
    """All offers of one kind, by name.

    Two plugins may offer the same name: only using it is an error, and
    `plugin:name` says which is meant.

    Args:
        noun: What one is called in messages.
        offerings: All of them.
        broken: Why plugins are broken that may offer more, by plugin.
        taken: Names that mean something else, unless the plugin is said.
    """

    def __init__(
        self,
        noun: str,
        offerings: Iterable[NamedT],
        broken: Mapping[str, str],
        taken: Collection[str] = (),
    ) -> None:
        self._noun = noun
        self._offerings = tuple(offerings)
        self._taken = taken
        self.broken = broken

    def __iter__(self) -> Iterator[NamedT]:
        """Yield every offering, also those that share a name."""
        return iter(self._offerings)

    def __len__(self) -> int:
        return len(self._offerings)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and len(self._named(name)) == 1

    def __getitem__(self, name: str) -> NamedT:
        return self.resolve(name)

    def names(self) -> list[str]:
        """Return every name that is offered, sorted, also those offered twice."""
        return sorted({offering.name for offering in self._offerings})

    def resolve(self, name: str, path: str = "") -> NamedT:
        """Return the offering called `name` or `plugin:name`.

        Args:
            name: The name.
            path: The dotted key where it stands, for messages.

        Raises:
            ConfigurationError: nobody offers it, or two plugins do.
        """
        named = self._named(name)
        if len(named) == 1:
            return named[0]
        if named:
            choices = " or ".join(f"`{one.plugin}:{one.name}`" for one in named)
            plugins = " and ".join(f"`{one.plugin}`" for one in named)
            problem = (
                f"the {self._noun} `{name}` is offered by the plugins {plugins}; "
                f"say which: {choices}"
            )
        else:
            problem = self._unknown(name)
        raise ConfigurationError(problem, path=path)

    def _named(self, name: str) -> list[NamedT]:
        plugin, colon, own_name = name.rpartition(":")
        if name in self._taken:
            return []
        return [
            one
            for one in self._offerings
            if one.name == own_name and (not colon or one.plugin == plugin)
        ]

    def _unknown(self, name: str) -> str:
        known = sorted({*self.names(), *self._taken})
        full = [f"{one.plugin}:{one.name}" for one in self._offerings]
        close = difflib.get_close_matches(name, full if ":" in name else known, n=1)
        if close:
            remedy = f"did you mean `{close[0]}`?"
        elif known:
            remedy = f"there are {', '.join(f'`{one}`' for one in known)}"
        else:
            remedy = "no plugin offers one"
        reasons = [
            f"the plugin `{plugin}`, which may offer it, is broken: {problem}"
            for plugin, problem in self.broken.items()
        ]
        return "; ".join([f"there is no {self._noun} `{name}`", remedy, *reasons])
