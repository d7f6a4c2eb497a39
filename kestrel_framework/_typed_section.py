"""Plain data checked against an attrs class: types, unknown keys, missing keys."""

from __future__ import annotations

import difflib
import enum
import math
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs

from kestrel_framework.errors import ConfigurationError

ClassT = TypeVar("ClassT")

_INVALID: Final = object()
_NAMES: Final[Mapping[object, tuple[str, str]]] = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    Path: ("a path", "paths"),
    object: ("any value", "any values"),
}


class UntypedText(str):
    """A value from the environment or the command line: its key's type decides how it is read."""

    __slots__ = ()


def typed_section(config_class: type[ClassT], mapping: Mapping[str, object], path: str) -> ClassT:
    """Check a section of a configuration against an attrs class, and return an instance.

    Attributes are the allowed keys, by their alias; one without a default must be given.
    Types may be str, int, float, bool, Path, object, an Enum (by value), a Literal,
    `T | None`, `tuple[T, ...]`, `Mapping[str, T]`, and attrs classes. The value of an
    attribute with `metadata={"secret": True}` never appears in a message.

    Args:
        config_class: An attrs class.
        mapping: Plain data, as TOML has it.
        path: The dotted path of the section, for messages.

    Raises:
        ConfigurationError: something is wrong; its `errors` are all that is.
    """
    reader = SettingsReader()
    section = reader.section(config_class, mapping, path)
    reader.finish()
    return cast(ClassT, section)


def type_name(wanted: object) -> str:
    """Return what a type is called in messages and in the reference: `a list of texts`."""
    if wanted in _NAMES:
        return _NAMES[wanted][0]
    if choices := _choices(wanted):
        return "one of " + ", ".join(f"`{choice}`" for choice in choices)
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(part) for part in arguments if part is not types.NoneType)
    if origin is tuple:
        plural = _NAMES.get(arguments[0], ("", ""))[1]
        return f"a list of {plural or 'values, each ' + type_name(arguments[0])}"
    return "a table"


def as_error(errors: Iterable[ConfigurationError]) -> ConfigurationError:
    """Return one error that stands for all of `errors`, each once and in order."""
    single = [one for error in errors for one in (error.errors or (error,))]
    if len(single) == 1:
        return single[0]
    return ConfigurationError("\n".join(map(str, single)), errors=single)


class SettingsReader:
    """Reads sections and collects everything that is wrong with them."""

    def __init__(self) -> None:
        self._errors: list[ConfigurationError] = []

    def finish(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            ConfigurationError: something was wrong; its `errors` are all that was.
        """
        if self._errors:
            raise as_error(self._errors)

    def report(self, problem: str, path: str) -> None:
        """Note that something is wrong with the key at `path`."""
        self._errors.append(ConfigurationError(problem, path=path))

    def refuse_unknown(self, table: Mapping[str, object], known: Iterable[str], path: str) -> None:
        """Report every key that is not known, with the one that was perhaps meant."""
        names = list(known)
        for key in table:
            if key not in names:
                close = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
                remedy = f"did you mean `{close[0]}`?" if close else _listing(names)
                self.report(f"unknown key; {remedy}", _joined(path, key))

    def table(self, value: object, path: str) -> Mapping[str, object]:
        """Return `value` if it is a table; otherwise report it, and return an empty one."""
        if isinstance(value, UntypedText):
            value = _from_toml(value)
        if isinstance(value, Mapping):
            return value
        self.report(f"expected a table, not {_shown(value)}", path)
        return {}

    def section(self, config_class: type[Any], value: object, path: str) -> object:
        """Return `value` as an instance of an attrs class; report what is wrong with it."""
        before = len(self._errors)
        table = self.table(value, path)
        if len(self._errors) > before:
            return _INVALID
        attributes = [a for a in attrs.fields(attrs.resolve_types(config_class)) if a.init]
        self.refuse_unknown(table, [str(a.alias) for a in attributes], path)
        arguments: dict[str, object] = {}
        for attribute in attributes:
            key = str(attribute.alias)
            secret = bool(attribute.metadata.get("secret"))
            if key in table:
                arguments[key] = self._value(
                    table[key], attribute.type, _joined(path, key), secret=secret
                )
            elif attribute.default is attrs.NOTHING:
                help_text = attribute.metadata.get("help", "")
                self.report(
                    f"is missing{': ' + help_text if help_text else ''}", _joined(path, key)
                )
                arguments[key] = _INVALID
        if any(argument is _INVALID for argument in arguments.values()):
            return _INVALID
        try:
            return config_class(**arguments)
        except ConfigurationError as error:
            inner = _joined(path, error.path) if error.path else path
            self.report(error.problem, inner)
        except (ValueError, TypeError) as error:
            secrets = [
                arguments[str(a.alias)]
                for a in attributes
                if a.metadata.get("secret") and str(a.alias) in arguments
            ]
            self.report(_explained(error, secrets), path)
        return _INVALID

    def _value(self, value: object, wanted: object, path: str, *, secret: bool) -> object:
        if isinstance(value, UntypedText):
            value = _read_text(value, wanted)
        if attrs.has(wanted):  # type: ignore[arg-type]
            return self.section(wanted, value, path)
        origin, arguments = get_origin(wanted), get_args(wanted)
        if origin is tuple and isinstance(value, list):
            items = tuple(
                self._value(item, arguments[0], f"{path}[{position}]", secret=secret)
                for position, item in enumerate(value)
            )
            return _INVALID if _INVALID in items else items
        if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
            entries = {
                key: self._value(inner, arguments[1], _joined(path, key), secret=secret)
                for key, inner in value.items()
            }
            return _INVALID if _INVALID in entries.values() else entries
        if origin in (Union, types.UnionType):
            return self._one_of(value, wanted, path, secret=secret)
        converted = _scalar(value, wanted)
        if converted is _INVALID:
            shown = "a value of another kind" if secret else _shown(value)
            self.report(f"expected {type_name(wanted)}, not {shown}", path)
        return converted

    def _one_of(self, value: object, wanted: object, path: str, *, secret: bool) -> object:
        parts = [part for part in get_args(wanted) if part is not types.NoneType]
        if value is None and len(parts) < len(get_args(wanted)):
            return None
        if len(parts) == 1:
            return self._value(value, parts[0], path, secret=secret)
        for part in parts:
            attempt = SettingsReader()
            converted = attempt._value(value, part, path, secret=secret)
            if not attempt._errors:
                return converted
        shown = "a value of another kind" if secret else _shown(value)
        self.report(f"expected {type_name(wanted)}, not {shown}", path)
        return _INVALID


def _scalar(value: object, wanted: object) -> object:
    """Return `value` as a `wanted`, or `_INVALID`."""
    if wanted is object or wanted is Any:
        return value
    if choices := _choices(wanted):
        same = [choice for choice in choices if choice == value and type(choice) is type(value)]
        if not same:
            return _INVALID
        return wanted(same[0]) if isinstance(wanted, type) else same[0]
    if wanted is int and type(value) is int and not -(2**63) <= value < 2**63:
        return _INVALID
    if wanted is float and type(value) is int:
        return float(value) if abs(value) < 2**1000 else _INVALID
    if wanted is float and isinstance(value, float) and not math.isfinite(value):
        return _INVALID
    if wanted is Path and isinstance(value, (str, Path)):
        return Path(value) if "\0" not in str(value) else _INVALID
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    return _INVALID


def _read_text(text: UntypedText, wanted: object) -> object:
    """Return what a text from outside a file means for a key of type `wanted`."""
    if wanted is object:
        return text
    accepted = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    for part in accepted:
        choices = _choices(part)
        if part in (str, Path) or choices:
            return next((choice for choice in choices if str(choice) == text), str(text))
    value = _from_toml(text)
    if any(get_origin(part) is tuple for part in accepted) and not isinstance(value, list):
        return [str(text)]
    return value


def _choices(wanted: object) -> tuple[object, ...]:
    """Return the values that a Literal or an Enum allows; none for any other type."""
    if get_origin(wanted) is Literal:
        return get_args(wanted)
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return tuple(member.value for member in wanted)
    return ()


def _from_toml(text: str) -> object:
    """Return a text as the TOML value it is, or as it stands where it is none."""
    try:
        tables = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return str(text)
    return tables["value"] if len(tables) == 1 else str(text)


def _explained(error: Exception, secrets: Iterable[object]) -> str:
    """Return an error of a validator as a sentence in which no secret stands."""
    problem = str(error.args[0]) if error.args else type(error).__name__
    for secret in secrets:
        problem = problem.replace(repr(secret), "(secret)").replace(str(secret), "(secret)")
    return problem


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {str(value)[:60]!r}"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number beyond 64 bits"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return f"the {type(value).__name__} {str(value)[:60]}"


def _listing(names: list[str]) -> str:
    return "known keys: " + ", ".join(sorted(names)) if names else "nothing can be set here"


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
