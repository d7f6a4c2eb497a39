"""What the formatter keeps, whatever people write: meaning, comments, and its own layout."""

from __future__ import annotations

import contextlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_eql import EqlCompiler
from kestrel_eql.formatter import format_query
from kestrel_eql.parser import parse
from kestrel_eql.rule_file_formatter import format_rule_file
from kestrel_eql.rule_printer import WIDTH
from kestrel_framework.errors import RuleError
from kestrel_framework.interfaces import RuleFile

CORPUS = os.environ.get("KESTREL_CORPUS", "")

_NAMES = (
    "a", "process.name", "event.sequence", "`odd name`.x", "args[0].b", "p . q", "source.as.number",
    "process.thread.Ext.call_stack_final_user_module.protection_provenance", "x" * 90,
)  # fmt: skip
_TEXTS = (
    '"x"', '""', '"a \\"b\\" \\\\ // no comment"', '"""C:\\raw\\*"""', "'single'", '?"raw"',
    '"/* no comment */"', '"' + "long " * 12 + '"', '"' + "l" * 120 + '"',
)  # fmt: skip
_NUMBERS = ("1", "0", "42", "1.50", ".5", "2e3", "9223372036854775807")
_COMMENTS = ("// note", "//", "/* block */", "/**/", "/* two  \n   lines */", "// and or , ( ) [ ]")
_GAPS = (" ", "  ", "\t", "\n", "\n\n\n", " \n  ")


@attrs.frozen
class Written:
    """A text, the comments that were put into it, and its tokens."""

    text: str
    comments: tuple[str, ...]
    tokens: tuple[str, ...]


def _joined(*parts: st.SearchStrategy[list[str]] | str) -> st.SearchStrategy[list[str]]:
    lists = [st.just([part]) if isinstance(part, str) else part for part in parts]
    return st.tuples(*lists).map(lambda found: [token for one in found for token in one])


def _token(*choices: str) -> st.SearchStrategy[list[str]]:
    return st.sampled_from(choices).map(lambda token: [token])


def _separated(
    item: st.SearchStrategy[list[str]], *by: str, least: int = 1, most: int = 4
) -> st.SearchStrategy[list[str]]:
    def put_between(items: list[list[str]]) -> list[str]:
        first, *others = items
        return [*first, *(token for one in others for token in (*by, *one))]

    return st.lists(item, min_size=least, max_size=most).map(put_between)


_field = st.one_of(_token(*_NAMES), _joined("?", _token(*_NAMES)), _token("$e", "$e.b.c"))
_literal = _token(*_TEXTS, *_NUMBERS, "true", "false", "null")
_simple = st.one_of(_field, _literal, _joined(_token("-", "+"), _token(*_NUMBERS)))
_list = _joined("(", _separated(_simple, ",", most=9), ")")


def _values(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    return st.one_of(
        _joined(_simple, _token("+", "-", "*", "/", "%"), _simple),
        _joined(_token("length", "cidrMatch"), "(", _separated(inner, ",", most=5), ")"),
        _joined(_token("startsWith", "in"), "~", "(", _simple, ",", inner, ")"),
        _joined("f", "(", ")"),
    )


def _conditions(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    value = st.one_of(_simple, _values(_simple))
    return st.one_of(
        _joined(value, _token("==", "!=", "<", ">=", "="), value),
        _joined(value, _token("in", "in~"), _list),
        _joined(value, "not", _token("in", "in~"), _list),
        _joined(_field, _token(":", "like", "like~", "regex~"), st.one_of(_literal, _list)),
        _joined("(", inner, ")"),
        _joined("not", "(", inner, ")"),
        _joined("not", _field),
        _separated(_joined("(", inner, ")"), "and", least=2),
        _separated(_joined("not", _field), "or", least=2, most=8),
        _joined(_field, ":", _list, "and", _field, "or", "(", inner, ")"),
        _joined("_arraysearch", "(", _field, ",", "$e", ",", inner, ")"),
        _joined(_token("descendant", "child"), "of", "[", "process", "where", inner, "]"),
        _values(inner),
    )


_condition = st.recursive(_field, _conditions, max_leaves=12)
_event = _joined(_token("process", "any", '"my-cat"'), "where", _condition)
_keys = _joined("by", _separated(_field, ",", most=3))
_nothing: st.SearchStrategy[list[str]] = st.just([])
_maxspan = _joined("with", "maxspan", "=", _token("30", "5"), _token("s", "m", "ms"))
_step = _joined(
    st.one_of(_nothing, _token("!")), "[", _event, "]",
    st.one_of(_nothing, _joined("fork"), _joined("fork", "=", "true")),
    st.one_of(_nothing, _keys),
    st.one_of(_nothing, _joined("with", "runs", "=", "3")),
    st.one_of(_nothing, _joined("as", "e0")),
)  # fmt: skip
_steps = st.lists(_step, min_size=1, max_size=3).map(
    lambda steps: [t for one in steps for t in one]
)
_several = _joined(
    _token("sequence", "join"), st.one_of(_nothing, _keys), _steps,
    st.one_of(_nothing, _joined("until", "[", _event, "]", _keys)),
)  # fmt: skip
_timed = _joined("sequence", st.one_of(_nothing, _keys), _maxspan, _steps)
_sample = _joined("sample", _keys, _steps)
_pipe = st.one_of(
    _joined("|", "head", _token(*_NUMBERS)),
    _joined("|", "unique", _separated(_field, ",")),
    _joined("|", "sort", _field, _field),
    _joined("|", "filter", _condition),
    _joined("|", "count"),
)
_pipes = st.lists(_pipe, max_size=2).map(lambda pipes: [t for one in pipes for t in one])
_tokens = _joined(st.one_of(_event, _event, _several, _timed, _sample), _pipes)


@st.composite
def written_queries(draw: st.DrawFn) -> Written:
    """Return a query that parses, with blanks and comments between its tokens."""
    tokens = draw(_tokens)
    often = draw(st.sampled_from([0, 0, 3, 8]))
    parts: list[str] = []
    comments: list[str] = []
    for token in [*tokens, ""]:
        parts.append(draw(st.sampled_from(_GAPS)) if often else " ")
        while often and draw(st.integers(0, 9)) < often - 2:
            comment = draw(st.sampled_from(_COMMENTS))
            comments.append(comment)
            parts.append(comment)
            parts.append("\n" if comment.startswith("//") else draw(st.sampled_from(_GAPS)))
        parts.append(token)
    return Written("".join(parts), tuple(comments), tuple(tokens))


# --- properties -----------------------------------------------------------------------

_TOKEN = re.compile(
    r'"""[^\n]*?"{3,5}(?!")|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`\n]*`'
    r"|(?P<comment>//[^\n]*|/\*(?s:.)*?\*/)|[\w.@`$\[\]?]+|\S"
)


def comments_of(text: str) -> list[str]:
    """Return the comments of a text, without the blanks at the ends of their lines."""
    found = (token["comment"] for token in _TOKEN.finditer(text) if token["comment"])
    return ["\n".join(line.rstrip() for line in comment.split("\n")) for comment in found]


def too_long(text: str) -> list[str]:
    """Return the lines that are too long though something in them could stand on the next."""
    without_comments = _TOKEN.sub(lambda token: "" if token["comment"] else token[0], text)
    return [
        line
        for line in without_comments.split("\n")
        if len(line.rstrip()) > WIDTH
        and max(len(token[0]) for token in _TOKEN.finditer(line)) < WIDTH / 2
    ]


def check(text: str, formatted: str) -> None:
    assert parse(formatted) == parse(text)
    assert comments_of(formatted) == comments_of(text)
    assert format_query(formatted) == formatted
    assert [line for line in formatted.split("\n") if line != line.rstrip()] == []
    assert formatted.endswith("\n")
    assert not formatted.endswith("\n\n")
    assert "\n\n\n" not in formatted
    assert too_long(formatted) == []


@settings(max_examples=300, deadline=None)
@given(written_queries())
def test_meaning_comments_and_layout_of_any_query(written: Written) -> None:
    check(written.text, format_query(written.text))
    assert comments_of(written.text) == [
        "\n".join(line.rstrip() for line in comment.split("\n")) for comment in written.comments
    ]


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(written_queries())
def test_meaning_comments_and_layout_of_very_many_queries(written: Written) -> None:
    check(written.text, format_query(written.text))


@settings(max_examples=200, deadline=None)
@given(written_queries())
def test_where_lines_ended_does_not_matter(written: Written) -> None:
    assert format_query(" ".join(written.tokens)) == format_query("\n".join(written.tokens))


@settings(max_examples=300, deadline=None)
@given(written_queries(), st.data())
def test_a_text_that_is_broken_is_a_rule_error(written: Written, data: st.DataObject) -> None:
    text = written.text
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    put = data.draw(st.one_of(st.text(max_size=5), st.sampled_from(["(", "]", "/*", '"', "|"])))
    _formats_or_refuses(text[:start] + put + text[end:])


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_is_formatted_or_refused(text: str) -> None:
    _formats_or_refuses(text)


def _formats_or_refuses(text: str) -> None:
    with contextlib.suppress(RuleError, ExceptionGroup):
        formatted = format_query(text)
        assert format_query(formatted) == formatted


# --- the rules that people have published ------------------------------------------------


def _public_rules() -> Iterator[RuleFile]:
    for archive in ("elastic-detection.tar.gz", "elastic-protections.tar.gz"):
        with tarfile.open(Path(CORPUS) / "rules" / archive) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield RuleFile(member.name, content.read())


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="KESTREL_CORPUS names no folder with rules/*.tar.gz")
def test_every_public_rule_keeps_its_meaning() -> None:
    checked = 0
    for file in _public_rules():
        for source in EqlCompiler().read(file):
            if source.language == "eql":
                check(source.text, format_query(source.text))
                checked += 1
    assert checked > 1200


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="KESTREL_CORPUS names no folder with rules/*.tar.gz")
def test_public_rule_files_change_in_their_query_alone() -> None:
    changed = 0
    for file in _public_rules():
        formatted = format_rule_file(file)
        if formatted != file.content:
            changed += 1
            again = RuleFile(file.path, formatted)
            assert format_rule_file(again) == formatted
            (old,), (new,) = EqlCompiler().read(file), EqlCompiler().read(again)
            assert old.metadata == new.metadata
            assert parse(old.text) == parse(new.text)
    assert changed > 1000
