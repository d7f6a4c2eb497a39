"""Reads what a rule file says about its rule, with an error for each thing that is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeGuard, TypeVar

from kestrel_eql.problems import MAX_PROBLEMS
from kestrel_eql.toml_text import Path, TomlText
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import RuleSeverity

_T = TypeVar("_T")


class MetadataReader:
    """Takes typed values out of one table of a TOML text.

    A value that is missing gives the default, and so does one that is wrong, after
    the error is noted: `throw` raises the first `MAX_PROBLEMS` of them.
    """

    def __init__(self, toml: TomlText, table: Path, values: Mapping[str, object]) -> None:
        self._toml = toml
        self._table = table
        self._values = values
        self._errors: list[RuleError] = []

    @property
    def is_full(self) -> bool:
        """Whether no more errors are told. Each costs a look at the text, to find its place."""
        return len(self._errors) >= MAX_PROBLEMS

    def error(self, problem: str, *path: str) -> None:
        """Note an error at a key of the table."""
        if not self.is_full:
            self._errors.append(RuleError(problem, self._toml.location((*self._table, *path))))

    def adopt(self, inner: MetadataReader) -> None:
        """Take over the errors of a reader of a table inside."""
        self._errors.extend(inner._errors[: MAX_PROBLEMS - len(self._errors)])

    def throw(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            RuleError: the only error; an `ExceptionGroup` of them where there are several.
        """
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise ExceptionGroup(f"{len(self._errors)} errors in the rule file", self._errors)

    def only(self, known: Iterable[str]) -> None:
        """Note an error for each key that is not known, with the nearest that is."""
        names = tuple(known)
        for key in self._values:
            if self.is_full:
                break
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                self.error(f"unknown key `{key}`{hint}", key)

    def text(self, key: str, default: str = "") -> str:
        value = self._values.get(key, default)
        if isinstance(value, str):
            return value
        return self._wrong(key, "a text", value, default)

    def version(self, key: str) -> str:
        """Return a version, which may be written as a whole number."""
        value = self._values.get(key, "1")
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self._wrong(key, "a text or a whole number", value, "1")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        if _is_texts(value):
            return tuple(value)
        return self._wrong(key, "a list of texts", value, ())

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        return (value,) if isinstance(value, str) else self.texts(key)

    def tables(self, key: str) -> list[dict[str, object]]:
        value = self._values.get(key, [])
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return value
        return self._wrong(key, "a list of tables", value, [])

    def severity(self, key: str) -> RuleSeverity:
        names = [severity.value for severity in RuleSeverity]
        name = self.text(key, RuleSeverity.MEDIUM.value)
        if name in names:
            return RuleSeverity(name)
        self.error(f"`{key}` is one of {', '.join(names)}, not `{name}`", key)
        return RuleSeverity.MEDIUM

    def score(self, key: str) -> int:
        value = self._values.get(key, 50)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
            return value
        return self._wrong(key, "a whole number from 0 to 100", value, 50)

    def _wrong(self, key: str, wanted: str, value: object, default: _T) -> _T:
        self.error(f"`{key}` must be {wanted}, not {_named(value)}", key)
        return default


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _named(value: object) -> str:
    names = {
        "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false",
        "list": "a list", "dict": "a table",
    }  # fmt: skip
    return names.get(type(value).__name__, "a date or time")
