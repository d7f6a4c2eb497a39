"""Views: generated structures that hold only the fields that rules use.

A view is what JSON is decoded to, or a document converted to, without making an object of
anything that no rule reads. Every key of the event that is not known leads to the slow way,
once: it may be a dotted key, which is a path in disguise. Keys that are none are then known,
and passed over.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import attrs
import msgspec

from kestrel_framework.event import Document
from kestrel_framework.interpreter import split_path

View: TypeAlias = msgspec.Struct
"""One event; `ViewTypes.reader` says how to read it."""

RawReader: TypeAlias = Callable[[View], object]
"""Returns what an event has at a path: `msgspec.UNSET`, None, a scalar, an object, or a tuple.

A tuple or list is a list, or the values of several objects in a list; it may hold lists in turn.
"""

_DecodedLeaf: TypeAlias = str | int | float | bool | tuple[Any, ...] | dict[str, Any] | None
_DEEPEST: Final = 32
_MOST_IGNORED_KEYS: Final = 64
"""How many keys that no rule reads are known of one object."""


@attrs.frozen
class KeysOfObject:
    """Which keys of an object that events have are read.

    Attributes:
        read: The keys whose values are read.
        objects: The keys of objects inside, and which of their keys are read.
        passed_over: Keys that events had and no rule reads.
        learns: Whether a key that is none of these is looked at, once.
    """

    read: tuple[str, ...]
    objects: Mapping[str, KeysOfObject]
    passed_over: tuple[str, ...]
    learns: bool


class ViewTypes:
    """The structures for a set of paths; they learn which keys of events to pass over.

    Args:
        paths: The paths to read, and whether an object there is something that rules ask about.
            Positions and odd names cannot be read, and where a path goes on from another one,
            only the longer one can; see `paths`.
        always: Paths to read in any case; those that go on from them cannot be read.

    Attributes:
        paths: The paths that views hold.
        times_learned: How often new keys were made use of.
        decode_value: Decodes what is JSON of one value, as views have it.
        decode: Decodes an event.
        convert: Makes a view of a document.
    """

    def __init__(self, paths: Mapping[str, bool], always: Sequence[str] = ()) -> None:
        self._root = _Level("event")
        known = {path: split_path(path) for path in (*always, *sorted(paths))}
        for path, parts in known.items():
            if (
                len(parts) <= _DEEPEST
                and all(map(_is_plain_key, parts))
                and not any(path.startswith(f"{short}.") for short in always)
            ):
                self._root.add(cast("tuple[str, ...]", parts), may_be_object=paths.get(path, False))
        self.paths = frozenset(path for path, parts in known.items() if self._root.has(parts))
        self._root.types()
        self._empty_ids = frozenset(map(id, self._root.empties()))
        self._stale = True
        self.times_learned = 0
        self.decode_value: Callable[[bytes], object] = msgspec.json.Decoder(_DecodedLeaf).decode
        self.decode: Callable[[bytes], View]
        self.convert: Callable[[Document], View]
        self.refresh()

    @property
    def keys(self) -> KeysOfObject:
        """Which keys are read, and which were passed over until now."""
        return self._root.keys

    def reader(self, path: str) -> RawReader:
        """Return what reads a path of `paths` from a view."""
        return operator.attrgetter(self.attribute(path))

    def attribute(self, path: str) -> str:
        """Return the name that a path of `paths` has in a view, with dots."""
        level, names = self._root, []
        *way, last = cast("tuple[str, ...]", split_path(path))
        for part in way:
            names.append(level.names[part])
            level = level.levels[part]
        return ".".join([*names, level.names[last]])

    def refresh(self) -> None:
        """Make use of what was learned. Cost: 30 µs for each object with a new key."""
        if not self._stale:
            return
        for_payloads, for_documents = self._root.types()
        decoder = msgspec.json.Decoder(for_payloads)
        self.decode = decoder.decode
        self.convert = lambda document: cast(
            "View", msgspec.convert(document, cast("Any", for_documents))
        )
        self._stale = False
        self.times_learned += 1

    def view_of(self, document: Document) -> View:
        """Return the view of any document without dotted keys, and learn its keys.

        The slow way, for what has an odd shape: lists of objects, or objects where others
        have values. Cost: linear in the part of the document that is read.
        """
        found: _FoundInLevels = {}
        if self._root.collect(document, found, listed=False):
            self._stale = True
        return self._root.built(found)

    def is_empty(self, part: object) -> bool:
        """Say whether an object in a view stands for one that the event does not have."""
        return id(part) in self._empty_ids

    def document_of(self, view: View) -> Document:
        """Return what a view holds as a document."""
        return self._root.document(view)


def _is_plain_key(part: str | int) -> bool:
    """Say whether a part of a path can be the name of a structure's field."""
    return isinstance(part, str) and part.isprintable() and not {'"', "\\", ""} & {part, *part}


class _Found:
    """What a document has at a path."""

    __slots__ = ("listed", "values")

    def __init__(self) -> None:
        self.values: list[object] = []
        self.listed = False

    def add(self, value: object, *, listed: bool) -> None:
        self.listed = self.listed or listed
        if isinstance(value, (list, tuple)):
            for inner in value:
                self.add(inner, listed=True)
            self.listed = True
        else:
            self.values.append(value)

    def raw(self) -> object:
        return tuple(self.values) if self.listed or len(self.values) != 1 else self.values[0]


class _Level:
    """The keys of one object.

    Attributes:
        levels: The keys that have objects whose keys matter.
        leaves: The keys whose values are read.
        ignored: Other keys that events have.
        names: The attribute of each of the first two in the structure.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.levels: dict[str, _Level] = {}
        self.leaves: dict[str, None] = {}
        self.ignored: dict[str, None] = {}
        self.names: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._asks_about_objects = False
        self._types: tuple[type[View], type[View]] | None = None
        self.empty: View | None = None

    def add(self, parts: tuple[str, ...], *, may_be_object: bool) -> None:
        if not parts:
            return
        first, *rest = parts
        if first not in self.names:
            self.names[first] = f"f{len(self.names)}"
        if not rest:
            if first not in self.levels:
                self.leaves[first] = None
            self._asks_about_objects |= may_be_object
            return
        self.leaves.pop(first, None)
        if first not in self.levels:
            self.levels[first] = _Level(f"{self._name}_{self.names[first]}")
        self.levels[first].add(tuple(rest), may_be_object=may_be_object)

    def has(self, parts: tuple[str | int, ...]) -> bool:
        if len(parts) <= 1:
            return parts != () and parts[0] in self.leaves
        inner = self.levels.get(str(parts[0]))
        return inner is not None and inner.has(parts[1:])

    @property
    def _is_strict(self) -> bool:
        """Whether an unknown key may be a dotted one that leads to a field that is read."""
        return self._asks_about_objects or bool(self.levels)

    @property
    def keys(self) -> KeysOfObject:
        inner = {key: level.keys for key, level in sorted(self.levels.items())}
        return KeysOfObject(
            tuple(sorted(self.leaves)), inner, tuple(sorted(self.ignored)), self._is_strict
        )

    def empties(self) -> Iterator[View | None]:
        """Yield what stands for an absent object at each level."""
        yield self.empty
        for level in self.levels.values():
            yield from level.empties()

    def types(self) -> tuple[type[View], type[View]]:
        """Return the structures for payloads and for documents."""
        inner = {key: level.types() for key, level in self.levels.items()}
        if self._types is None:
            self._types = (
                self._structure(inner, 0, _DecodedLeaf, msgspec.Raw),
                self._structure(inner, 1, Any, Any),
            )
            if self.empty is None:
                self.empty = self._types[0]()  # the same for ever: it is compared by identity
        return self._types

    def _structure(
        self,
        inner: Mapping[str, tuple[type[View], type[View]]],
        which: int,
        leaf: object,
        ignored: object,
    ) -> type[View]:
        names = {**self.names, **{key: f"i{n}" for n, key in enumerate(self.ignored)}}
        fields: list[tuple[str, Any, Any]] = []
        # A key is found at once if it comes after the one that came before it in the event too.
        for key in dict.fromkeys((*self._seen, *names)):
            if key in self.levels:
                fields.append((names[key], inner[key][which], self.levels[key].empty))
            else:
                kind = ignored if key in self.ignored else leaf
                fields.append((names[key], kind, msgspec.UNSET))
        renamed = {name: key for key, name in names.items()}
        return msgspec.defstruct(
            self._name,
            fields,
            rename=renamed,
            frozen=True,
            eq=False,
            gc=False,
            forbid_unknown_fields=self._is_strict,
        )

    def collect(self, value: object, found: _FoundInLevels, *, listed: bool) -> bool:
        """Note what stands at the paths under this level; say whether a key was learned."""
        learned = False
        if isinstance(value, (list, tuple)):
            for element in value:
                learned |= self.collect(element, found, listed=True)
        elif isinstance(value, Mapping):
            here = found.setdefault(self, {})
            for key, inner in value.items():
                if key in self.leaves:
                    here.setdefault(key, _Found()).add(inner, listed=listed)
                elif key in self.levels:
                    learned |= self.levels[key].collect(inner, found, listed=listed)
                elif not self._is_strict or key in self.ignored or not self._learn(key):
                    continue
                if type(key) is str and key not in self._seen:
                    self._seen[key] = None
                    learned = True
        if learned:
            self._types = None
        return learned

    def _learn(self, key: object) -> bool:
        if type(key) is not str or "." in key or not _is_plain_key(key):
            return False
        if len(self.ignored) >= _MOST_IGNORED_KEYS:
            return False
        self.ignored[key] = None
        return True

    def document(self, view: View) -> dict[str, object]:
        document: dict[str, object] = {}
        for key, name in self.names.items():
            value = getattr(view, name)
            if key in self.levels:
                value = self.levels[key].document(value)
            if value is not msgspec.UNSET and value != {}:
                document[key] = value
        return document

    def built(self, found: _FoundInLevels) -> View:
        here = found.get(self, {})
        values = {self.names[key]: known.raw() for key, known in here.items()}
        for key, level in self.levels.items():
            if level in found:
                values[self.names[key]] = level.built(found)
        if self._types is None:
            self.types()
        assert self._types is not None
        return self._types[0](**values)


_FoundInLevels: TypeAlias = dict[_Level, dict[str, _Found]]
