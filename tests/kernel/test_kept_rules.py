"""Rules that are kept: equal to compiled ones, and harmless when anything is wrong."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
from rule_archives import archive

from kestrel_framework import _kept_rules
from kestrel_framework.errors import RuleError, Severity, SourceLocation
from kestrel_framework.interfaces import KeepableRuleCompiler, RuleFile
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import (
    EventRule,
    LoadReport,
    Pipe,
    Rule,
    RuleMetadata,
    RuleSeverity,
    RuleSource,
    Technique,
)
from kestrel_framework.rule_loading import load_rules
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry


@attrs.define
class WordsCompiler:
    """A rule is a word; the id is the first line of the file. Notes what it compiles."""

    language: str = "words"
    suffixes: tuple[str, ...] = (".words",)
    fingerprint: str | None = "words 1"
    odd: object = None
    compiled: list[str] = attrs.field(factory=list)

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        lines = file.text().splitlines()
        return [self._source(file.path, lines[0], line) for line in lines[1:]]

    def _source(self, path: str, rule_id: str, text: str) -> RuleSource:
        metadata = RuleMetadata(
            rule_id,
            name=text,
            tags=("a", "b"),
            severity=RuleSeverity.HIGH,
            threat=(Technique("TA1", "tactic", "T1", "technique"), Technique("TA1")),
            extra={"note": text, "deep": {"list": [1, 2.5, None, True]}}
            | ({"odd": self.odd} if text == "odd" else {}),
        )
        return RuleSource(metadata, self.language, text, SourceLocation(path, 2, 1, text))

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        self.compiled.append(source.text)
        if "!" in source.text:
            raise RuleError("no word has `!`", source.location)
        warnings: tuple[RuleError, ...] = ()
        if "?" in source.text:
            problem, place = "a question", attrs.evolve(source.location, line=3)
            warnings = (RuleError(problem, place, severity=Severity.WARNING, rule_id="q"),)
        known = schema.field("word")
        test = Comparison(
            ComparisonOperator.EQUAL,
            Field("word", known.type if known else None),
            Literal(source.text),
        )
        pipes: tuple[Pipe, ...] = (Pipe("head", (3,)),) if "head" in source.text else ()
        pipes = (Pipe("filter", (test,)), Pipe("filter", (test,))) if "|" in source.text else pipes
        return Rule(
            source.metadata,
            EventRule(frozenset({"x", "y"}), test),
            self.language,
            source.location,
            pipes,
            warnings,
        )


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kestrel-framework"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack with good rules, a bad one, warnings, pipes, and an id that is there twice."""
    folder = tmp_path / "pack"
    folder.mkdir()
    texts = {
        "a.words": "a\nalpha\nbeta",
        "b.words": "b\nwhat?",
        "c.words": "c\nbad!\ngood",
        "d.words": "d\nhead",
        "e.words": "e\nx|y",
        "empty.words": "empty",
        "f.words": "b\nagain",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    archive(folder / "z.tar.gz", [("in/g.words", b"g\ngamma"), ("h.words", b"h\nbad!")])
    return folder


def load(*paths: Path, compiler: WordsCompiler | None = None, **options: object) -> LoadReport:
    return load_rules(*paths, compilers=[compiler or WordsCompiler()], **options)  # type: ignore[arg-type]


def recompiled(*paths: Path, **options: object) -> list[str]:
    """Load, compare with what a load without the cache gives, and return what was compiled."""
    compiler = WordsCompiler()
    report = load(*paths, compiler=compiler, **options)
    fresh = load(*paths, compiler=WordsCompiler(fingerprint=None), **options)
    assert described(report) == described(fresh)
    return compiler.compiled


def described(report: LoadReport) -> tuple[object, ...]:
    errors = [
        (str(error), error.severity, repr(error.location), dict(error.context))
        for error in (*report.errors, *report.warnings)
    ]
    rules = [
        (rule, rule.semantic_hash, repr(rule), dict(rule.metadata.extra)) for rule in report.rules
    ]
    return rules, errors, report.files


def files_in(kept: Path) -> list[Path]:
    return sorted(kept.iterdir()) if kept.is_dir() else []


# --- what is found ------------------------------------------------------------------


def test_a_second_load_compiles_only_what_is_wrong(pack: Path, kept: Path) -> None:
    first = recompiled(pack)
    assert len(first) == 10
    assert recompiled(pack) == ["bad!", "good", "bad!"]
    (file,) = files_in(kept)
    assert file.stat().st_mode & 0o777 == 0o600
    written = file.stat().st_mtime_ns
    recompiled(pack)
    assert file.stat().st_mtime_ns == written


def test_what_is_kept_is_the_same_whatever_the_order_of_hashes(pack: Path, kept: Path) -> None:
    """Sets are written sorted, and everything else in the order of the files."""
    recompiled(pack)
    (file,) = files_in(kept)
    content = file.read_bytes()
    file.unlink()
    recompiled(pack)
    assert file.read_bytes() == content


def test_only_the_changed_file_is_compiled_again(pack: Path) -> None:
    (pack / "c.words").unlink()
    (pack / "z.tar.gz").unlink()
    recompiled(pack)
    (pack / "b.words").write_text("b\nthat?")
    (pack / "g.words").write_text("g\nnew")
    assert recompiled(pack) == ["that?", "new"]
    (pack / "b.words").unlink()
    assert recompiled(pack) == []
    (pack / "g.words").rename(pack / "0.words")
    assert recompiled(pack) == ["new"]
    assert recompiled(pack) == []


def test_a_known_archive_is_not_unpacked(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(pack / "z.tar.gz", [("a.words", b"z\nzeta"), ("b.words", b"y\neta")])
    assert recompiled(path) == ["zeta", "eta"]
    compiler = WordsCompiler()
    with monkeypatch.context() as patched:
        patched.setattr("tarfile.open", lambda **_: pytest.fail("unpacked"))
        report = load(path, compiler=compiler)
    assert [rule.rule_id for rule in report.rules] == ["z", "y"]
    assert compiler.compiled == []
    archive(path, [("a.words", b"z\nzeta"), ("b.words", b"y\ntheta")])
    assert recompiled(path) == ["zeta", "theta"]


def test_an_archive_with_problems_is_read_every_time(tmp_path: Path) -> None:
    path = archive(tmp_path / "z.tgz", [("a.words", b"a\none"), ("a.words", b"a\ntwo")])
    for _ in range(2):
        recompiled(path)
        assert "is in the archive twice" in str(load(path).errors[0])


def test_a_wrong_file_of_a_known_archive_is_told_every_time(tmp_path: Path) -> None:
    path = archive(tmp_path / "z.tgz", [("a.words", b"a\none"), ("b.words", b"b\n!")])
    assert recompiled(path) == ["one", "!"]
    assert recompiled(path) == ["!"]


def test_whatever_decides_what_rules_mean_counts(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = tmp_path / "only"
    only.mkdir()
    (only / "a.words").write_text("a\nalpha")
    keyword = SchemaRegistry().extended([FieldDefinition("word", FieldType.KEYWORD)])
    assert recompiled(only) == ["alpha"]
    assert recompiled(only, schema=keyword) == ["alpha"]
    assert recompiled(only, schema=keyword, strict=True) == ["alpha"]
    assert recompiled(only, schema=keyword) == []
    for changed in (
        WordsCompiler(fingerprint="words 2"),
        WordsCompiler(language="other"),
        WordsCompiler(suffixes=(".words", ".other")),
    ):
        load(only, compiler=changed)
        assert changed.compiled == ["alpha"]
    monkeypatch.chdir(tmp_path)
    assert recompiled(Path("only")) == ["alpha"]
    assert recompiled(only) == []
    monkeypatch.setattr(_kept_rules, "_ORIGIN", "another version")
    assert recompiled(only) == ["alpha"]


def test_runtimes_are_looked_for_every_time(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    manifest = '{"format_version": 1, "metadata": {"rule_id": "p"}, "fields": {"a": "ip"}}'
    (tmp_path / "p" / "manifest.json").write_text(manifest)
    (tmp_path / "p" / "predicate.lua").write_bytes(b"\x00return")
    for _ in range(2):
        recompiled(tmp_path / "p", runtimes=["native", "lua"])
        assert not load(tmp_path / "p", runtimes=["native", "lua"]).errors
        assert "the runtime `lua`" in str(load(tmp_path / "p", runtimes=["native"]).errors[0])
    (tmp_path / "p" / "predicate.lua").write_bytes(b"other")
    (rule,) = load(tmp_path / "p").rules
    assert rule.body.conditions[0].payload == b"other"  # type: ignore[union-attr]


def test_nothing_is_kept_for_a_compiler_that_does_not_ask(pack: Path, kept: Path) -> None:
    compiler = WordsCompiler(fingerprint=None)
    assert isinstance(compiler, KeepableRuleCompiler)
    for _ in range(2):
        load(pack, compiler=compiler)
    assert len(compiler.compiled) == 20
    assert files_in(kept) == []


def test_compilers_that_may_be_kept_stand_beside_others(tmp_path: Path) -> None:
    (tmp_path / "a.words").write_text("a\nalpha")
    (tmp_path / "b.loud").write_text("b\nbeta")
    for expected in (["alpha"], []):
        keepable = WordsCompiler()
        other = WordsCompiler("loud", (".loud",), None)
        report = load_rules(tmp_path, compilers=[keepable, other])
        assert [rule.rule_id for rule in report.rules] == ["a", "b"]
        assert (keepable.compiled, other.compiled) == (expected, ["beta"])


@pytest.mark.parametrize("odd", [("tuple",), {1, 2}, object(), 2**70, "\ud800", float("nan")])
def test_a_rule_that_would_not_come_back_is_compiled_every_time(
    tmp_path: Path, odd: object
) -> None:
    (tmp_path / "a.words").write_text("a\nalpha")
    (tmp_path / "b.words").write_text("b\nodd")
    for expected in (["alpha", "odd"], ["odd"], ["odd"]):
        compiler = WordsCompiler(odd=odd)
        report = load(tmp_path, compiler=compiler)
        assert compiler.compiled == expected
        assert report.rules[1].metadata.extra["odd"] is odd


def test_rules_that_are_kept_can_be_pickled(pack: Path) -> None:
    load(pack)
    for rule in load(pack).rules:
        copy = pickle.loads(pickle.dumps(rule))
        assert copy == rule
        assert copy.metadata.extra == rule.metadata.extra == dict(rule.metadata.extra)
        assert repr(copy.metadata.extra) == repr(dict(rule.metadata.extra))
        assert len(copy.metadata.extra) == 2


def test_what_many_rules_say_is_in_memory_once(pack: Path) -> None:
    load(pack)
    first, second, *_ = load(pack).rules
    assert first.metadata.threat[0] is second.metadata.threat[0]
    assert first.metadata.tags[0] is second.metadata.tags[0]
    assert first.body.predicate.left is second.body.predicate.left  # type: ignore[union-attr]


# --- what is wrong with the file -----------------------------------------------------------


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def _linked(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def replaced_when_opened(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what another process may: replace the file by the same once it is open."""
    opened = os.open

    def replacing(path: str | Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(path, flags, mode)
        if Path(path) == file:
            copy = file.with_name("copy")
            shutil.copy2(file, copy)
            copy.replace(file)
        return descriptor

    monkeypatch.setattr(os, "open", replacing)


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _flipped,
        _linked,
        _folder,
        _pipe,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x80\x04K\x01."),
        lambda path: path.chmod(0o644),
        lambda path: path.chmod(0o660),
        lambda path: os.link(path, path.with_name("other")),
    ],
)  # fmt: skip
def test_a_file_that_is_not_whole_and_private_is_not_used(
    tmp_path: Path, kept: Path, damage: Callable[[Path], object]
) -> None:
    (tmp_path / "a.words").write_text("a\nalpha")
    recompiled(tmp_path / "a.words")
    (file,) = files_in(kept)
    damage(file)
    assert recompiled(tmp_path / "a.words") == ["alpha"]


def test_a_file_that_is_replaced_while_it_is_opened_is_used(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.words").write_text("a\nalpha")
    recompiled(tmp_path / "a.words")
    (file,) = files_in(kept)
    replaced_when_opened(file, monkeypatch)
    assert recompiled(tmp_path / "a.words") == []


def test_what_was_kept_of_another_pack_is_not_used(tmp_path: Path, kept: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.words").write_text("a\nalpha")
        recompiled(tmp_path / f"{name}.words")
    first, second = files_in(kept)
    first.write_bytes(second.read_bytes())
    second.unlink()
    assert recompiled(tmp_path / "a.words") + recompiled(tmp_path / "b.words") == ["alpha"] * 2


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o500])
def test_a_folder_that_is_not_private_is_not_used(tmp_path: Path, kept: Path, mode: int) -> None:
    (tmp_path / "a.words").write_text("a\nalpha")
    kept.mkdir(parents=True)
    kept.chmod(mode)
    assert recompiled(tmp_path / "a.words") == ["alpha"]
    assert recompiled(tmp_path / "a.words") == ["alpha"]
    assert files_in(kept) == []


# --- bounds -------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / f"{number}.words" for number in range(4)]
    for name in names:
        name.write_text("a\nalpha")
    recompiled(names[0])
    (size,) = [file.stat().st_size for file in files_in(kept)]
    monkeypatch.setattr(_kept_rules, "MAX_FOLDER_BYTES", 3 * size)
    for number, name in enumerate(names[1:3], start=1):
        recompiled(name)
        for file in files_in(kept):
            status = file.stat()
            os.utime(file, (0, status.st_mtime - 10**6 * number))
    # Using one that is a week old makes it young again.
    assert recompiled(names[0]) == []
    assert recompiled(names[3]) == ["alpha"]
    assert len(files_in(kept)) == 3
    assert recompiled(names[0]) == []
    assert recompiled(names[1]) == ["alpha"]


def test_a_pack_that_is_too_large_is_not_kept(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.words").write_text("a\nalpha")
    monkeypatch.setattr(_kept_rules, "MAX_FILE_BYTES", 100)
    for _ in range(2):
        assert recompiled(tmp_path / "a.words") == ["alpha"]
    assert files_in(kept) == []


def test_what_a_dead_process_left_is_removed(tmp_path: Path, kept: Path) -> None:
    kept.mkdir(parents=True, mode=0o700)
    old, new = kept / ".rules-old", kept / ".rules-new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (0, 0))
    (tmp_path / "a.words").write_text("a\nalpha")
    recompiled(tmp_path / "a.words")
    assert (old.exists(), new.exists()) == (False, True)


def test_many_load_at_the_same_time(pack: Path, kept: Path) -> None:
    expected = described(load(pack))
    reports: list[LoadReport] = []

    def work() -> None:
        for number in range(10):
            if number % 3 == 0:
                for file in files_in(kept):
                    file.unlink(missing_ok=True)
            reports.append(load(pack))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 40
    assert all(described(report) == expected for report in reports)
