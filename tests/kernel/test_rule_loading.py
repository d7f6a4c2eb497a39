"""Loading rules: folders, archives and packages, all errors at once, hostile archives."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_archives import archive

from kestrel_framework import _rule_files
from kestrel_framework.errors import ConfigurationError, PluginError, RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import (
    EventRule,
    LoadReport,
    Pipe,
    Program,
    Rule,
    RuleMetadata,
    RuleSource,
)
from kestrel_framework.rule_loading import iter_rule_files, load_rules, read_packs
from kestrel_framework.schema import FieldType, SchemaRegistry


class NamesCompiler:
    """A rule language of one name a line: an event rule for that process. `!` is an error."""

    language = "names"
    suffixes: tuple[str, ...] = (".names",)

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        text = file.text()
        if text.startswith("crash on read"):
            raise ZeroDivisionError("in read")
        stem = Path(file.path).stem
        first, _, rest = text.partition("\n")
        if first.startswith("id "):
            return [self._source(file, first[3:], rest)]
        if first.startswith("language "):
            metadata = RuleMetadata(stem)
            return [RuleSource(metadata, first[9:], rest, SourceLocation(file.path))]
        if first == "two":
            return [self._source(file, "one", rest), self._source(file, "two", rest)]
        return [] if first == "nothing" else [self._source(file, stem, text)]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        text = source.text
        if text.startswith("crash"):
            raise ZeroDivisionError("in compile")
        if text.startswith("deep"):
            raise RecursionError
        if text.startswith("plugin error"):
            raise PluginError("names", "lost its way")
        bad = [position for position, char in enumerate(text) if char == "!"]
        if bad:
            errors = [
                RuleError("no name has `!`", SourceLocation.in_text(source.location.path, text, at))
                for at in bad
            ]
            raise ExceptionGroup("bad names", errors)
        unknown = "unknown" in text
        if unknown and schema.strict:
            raise RuleError("unknown field", source.location)
        warnings = (RuleError("unknown field", source.location),) if unknown else ()
        predicate = Comparison(
            ComparisonOperator.EQUAL, Field("process.name"), Literal(text.strip())
        )
        pipes = (Pipe("head"),) if "| head" in text else ()
        return Rule(
            source.metadata,
            EventRule(frozenset({"process"}), predicate),
            self.language,
            source.location,
            pipes,
            warnings,
        )

    def _source(self, file: RuleFile, rule_id: str, text: str) -> RuleSource:
        return RuleSource(
            RuleMetadata(rule_id), self.language, text, SourceLocation(file.path, 1, 1)
        )


class EqlNamesCompiler(NamesCompiler):
    language = "eql"
    suffixes: tuple[str, ...] = (".eql",)


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Write files into a new folder, given as name to text."""

    def write(folder: str = "pack", /, **files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / folder / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return tmp_path / folder

    return write


def loaded(*paths: Path, **options: object) -> LoadReport:
    return load_rules(*paths, compilers=[NamesCompiler()], **options)  # type: ignore[arg-type]


def ids(report: LoadReport) -> list[str]:
    return [rule.rule_id for rule in report.rules]


class TestFolders:
    def test_rules_come_in_the_order_of_their_paths(self, pack: Callable[..., Path]) -> None:
        folder = pack(b_dot_names="x", a__z_dot_names="x", a__c_dot_names="x", c_dot_txt="x")
        assert ids(loaded(folder)) == ["c", "z", "b"]

    def test_hidden_files_and_folders_are_left_out(self, pack: Callable[..., Path]) -> None:
        folder = pack(_dot_git__x_dot_names="x", _dot_y_dot_names="x", z_dot_names="x")
        assert ids(loaded(folder)) == ["z"]

    def test_a_loop_of_links_ends(self, pack: Callable[..., Path]) -> None:
        folder = pack(inner__a_dot_names="x")
        (folder / "inner" / "again").symlink_to(folder)
        report = loaded(folder)
        assert (ids(report), report.errors) == (["a"], ())

    def test_a_link_to_a_file_is_read(self, pack: Callable[..., Path], tmp_path: Path) -> None:
        (tmp_path / "elsewhere").write_text("x", "utf-8")
        folder = pack(a_dot_names="x")
        (folder / "b.names").symlink_to(tmp_path / "elsewhere")
        (folder / "c.names").symlink_to(tmp_path / "nowhere")
        report = loaded(folder)
        assert ids(report) == ["a", "b"]
        assert [str(e) for e in report.errors] == [
            f"{folder}/c.names: cannot be read: No such file or directory"
        ]

    def test_a_pipe_in_a_folder_does_not_hang(self, pack: Callable[..., Path]) -> None:
        folder = pack(a_dot_names="x")
        os.mkfifo(folder / "b.names")
        report = loaded(folder)
        assert ids(report) == ["a"]
        assert "is no plain file" in str(report.errors[0])

    def test_a_file_too_large_is_refused(
        self, pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_rule_files, "MAX_FILE_BYTES", 10)
        report = loaded(pack(a_dot_names="x" * 11, b_dot_names="x" * 10))
        assert ids(report) == ["b"]
        assert "is larger than 10 bytes" in str(report.errors[0])

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
    def test_a_folder_that_cannot_be_read(self, pack: Callable[..., Path]) -> None:
        folder = pack(a_dot_names="x", closed__b_dot_names="x")
        (folder / "closed").chmod(0)
        try:
            report = loaded(folder)
        finally:
            (folder / "closed").chmod(0o700)
        assert ids(report) == ["a"]
        assert "closed: cannot be read" in str(report.errors[0])


class TestNamedPaths:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        report = loaded(tmp_path / "nothing.names")
        assert [e.problem for e in report.errors] == ["cannot be read: No such file or directory"]

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("rule.eql", "no installed plugin reads `.eql` files; install kestrel-eql"),
            ("rule.toml", "no installed plugin reads `.toml` files; install kestrel-eql"),
            ("rule.txt", "no installed plugin reads `.txt` files"),
            ("rule", "is no rule file"),
        ],
    )
    def test_a_named_file_that_nobody_reads_is_an_error(
        self, tmp_path: Path, name: str, sentence: str
    ) -> None:
        (tmp_path / name).write_text("x", "utf-8")
        assert [e.problem for e in loaded(tmp_path / name).errors] == [sentence]

    def test_an_eql_file_that_nobody_reads_is_an_error_in_a_folder_too(
        self, pack: Callable[..., Path]
    ) -> None:
        report = loaded(pack(a_dot_eql="x", b_dot_txt="x"))
        assert len(report.errors) == 1
        assert "install kestrel-eql" in str(report.errors[0])

    def test_a_device_is_no_rule_file(self) -> None:
        report = loaded(Path("/dev/null"))
        assert [e.problem for e in report.errors] == ["is neither a file nor a folder"]

    def test_iteration_gives_the_files_with_the_suffix(self, pack: Callable[..., Path]) -> None:
        folder = pack(b_dot_names="2", a_dot_names="1", c_dot_txt="3")
        files = list(iter_rule_files([folder], [".names"]))
        assert [(Path(f.path).name, f.content) for f in files] == [
            ("a.names", b"1"),
            ("b.names", b"2"),
        ]


class TestErrors:
    def test_all_errors_of_all_files_are_kept(self, pack: Callable[..., Path]) -> None:
        report = loaded(pack(a_dot_names="!!\n!", b_dot_names="good", c_dot_names="x!"))
        assert ids(report) == ["b"]
        assert [(e.location.line, e.location.column) for e in report.errors if e.location] == [
            (1, 1),
            (1, 2),
            (2, 1),
            (1, 2),
        ]

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("crash", "the compiler for `names` failed: ZeroDivisionError: in compile"),
            ("crash on read", "the compiler for `names` failed: ZeroDivisionError: in read"),
            ("deep", "the compiler for `names` failed: RecursionError"),
            ("plugin error", "plugin names: lost its way"),
        ],
    )
    def test_a_compiler_that_fails_is_blamed_and_others_go_on(
        self, pack: Callable[..., Path], text: str, sentence: str
    ) -> None:
        report = loaded(pack(a_dot_names=text, b_dot_names="good"))
        assert ids(report) == ["b"]
        (error,) = report.errors
        assert sentence in str(error)
        assert "a fault of the plugin, not of the rule" in str(error)

    def test_a_rule_in_a_language_that_nobody_compiles(self, pack: Callable[..., Path]) -> None:
        report = loaded(pack(a_dot_names="language kuery\nx", b_dot_names="language lua\nx"))
        assert [e.problem for e in report.errors] == [
            "no installed plugin compiles the language `kuery`",
            "no installed plugin compiles the language `lua`; install kestrel-lua",
        ]

    def test_a_rule_with_pipes_is_for_searches(self, pack: Callable[..., Path]) -> None:
        report = loaded(pack(a_dot_names="x | head"))
        assert [e.problem for e in report.errors] == [
            "the pipe `head` does not work on a stream: it would fall silent after its first "
            "results; leave it out, or search with `kestrel query`"
        ]
        assert str(report.errors[0].location).endswith("a.names:1:1")

    def test_an_unknown_field_is_a_warning_and_an_error_when_strict(
        self, pack: Callable[..., Path]
    ) -> None:
        folder = pack(a_dot_names="unknown")
        relaxed, strict = loaded(folder), loaded(folder, strict=True)
        assert (ids(relaxed), len(relaxed.warnings), relaxed.errors) == (["a"], 1, ())
        assert (ids(strict), len(strict.errors)) == ([], 1)

    def test_two_compilers_for_one_language(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="two compilers are for the language `names`"):
            load_rules(tmp_path, compilers=[NamesCompiler(), NamesCompiler()])

    def test_a_file_in_two_languages_names_both(self, pack: Callable[..., Path]) -> None:
        class Other(NamesCompiler):
            language = "other"

        report = load_rules(pack(a_dot_names="x"), compilers=[NamesCompiler(), Other()])
        assert [e.problem for e in report.errors] == [
            "is a rule in more than one language: names, other"
        ]

    def test_a_file_without_a_rule_is_none(self, pack: Callable[..., Path]) -> None:
        report = loaded(pack(a_dot_names="nothing"))
        assert (report.files, report.errors, report.rules) == (0, (), ())


class TestPacks:
    def test_a_later_pack_replaces_rules_of_the_same_id(self, pack: Callable[..., Path]) -> None:
        base = pack("base", a_dot_names="first", b_dot_names="kept")
        local = pack("local", z_dot_names="id a\nsecond")
        report = loaded(base, local)
        assert ids(report) == ["b", "a"]
        assert report.rules[1].location == SourceLocation(f"{local}/z.names", 1, 1)
        assert report.errors == ()

    def test_a_broken_replacement_does_not_silence_the_rule_below(
        self, pack: Callable[..., Path]
    ) -> None:
        report = loaded(pack("base", a_dot_names="x"), pack("local", a_dot_names="!"))
        assert ids(report) == ["a"]
        assert len(report.errors) == 1

    def test_an_id_twice_in_one_pack_names_both_files(self, pack: Callable[..., Path]) -> None:
        folder = pack(a_dot_names="x", b_dot_names="id a\ny")
        report = loaded(folder)
        assert ids(report) == ["a"]
        assert [str(e) for e in report.errors] == [
            f"{folder}/b.names: the rule id `a` is already used in {folder}/a.names"
        ]

    def test_a_file_may_hold_several_rules(self, pack: Callable[..., Path]) -> None:
        (file,) = read_packs([pack(a_dot_names="two\nx")], compilers=[NamesCompiler()])
        assert file.rule_ids == ("one", "two")
        assert len(file.rules) == 2


class TestArchives:
    def test_an_archive_is_a_pack(self, tmp_path: Path) -> None:
        path = archive(
            tmp_path / "rules.tar.gz",
            [("./r/b.names", b"x"), ("r/a.names", b"!"), ("r/readme", b"x"), ("r/.h.names", b"x")],
        )
        report = loaded(path)
        assert ids(report) == ["b"]
        assert str(report.errors[0]) == f"{path}/r/a.names:1:1: no name has `!`"

    def test_archives_in_a_folder_belong_to_its_pack(self, tmp_path: Path) -> None:
        (tmp_path / "z.names").write_text("x", "utf-8")
        path = archive(tmp_path / "some.tar.gz", [("r/a.names", b"x"), ("z.names", b"x")])
        (tmp_path / "gone.tar.gz").symlink_to("nowhere")
        report = loaded(tmp_path)
        assert ids(report) == ["a", "z"]
        assert [str(error) for error in report.errors] == [
            f"{tmp_path}/gone.tar.gz: is no plain file",
            f"{tmp_path}/z.names: the rule id `z` is already used in {path}/z.names",
        ]

    def test_nothing_is_written_for_a_path_that_climbs_out(self, tmp_path: Path) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        path = archive(inside / "rules.tar.gz", [("../../climbs.names", b"x")])
        loaded(path)
        assert sorted(p.name for p in tmp_path.rglob("*")) == ["inside", "rules.tar.gz"]

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    )
    def test_links_and_devices_are_refused(self, tmp_path: Path, kind: bytes) -> None:
        info = tarfile.TarInfo("evil.names")
        info.type = kind
        info.linkname = "/etc/passwd"
        report = loaded(archive(tmp_path / "rules.tar.gz", [(info, b""), ("a.names", b"x")]))
        assert ids(report) == ["a"]
        assert "is a link or a device" in str(report.errors[0])

    def test_a_member_twice_is_refused(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "rules.tar.gz", [("a.names", b"x"), ("./a.names", b"y")])
        report = loaded(path)
        assert ids(report) == ["a"]
        assert "is in the archive twice" in str(report.errors[0])

    def test_a_member_too_large_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_rule_files, "MAX_FILE_BYTES", 10)
        path = archive(tmp_path / "rules.tar.gz", [("a.names", b"x" * 11), ("b.names", b"x")])
        report = loaded(path)
        assert ids(report) == ["b"]
        assert "is larger than 10 bytes" in str(report.errors[0])

    def test_a_bomb_is_stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_rule_files, "MAX_ARCHIVE_BYTES", 1_000_000)
        zeros = bytes(3_000_000)
        path = archive(tmp_path / "rules.tar.gz", [("a.names", b"x"), ("big.bin", zeros)])
        report = loaded(path)
        assert ids(report) == ["a"]
        assert "unpacks to more than 1000000 bytes" in str(report.errors[0])

    def test_too_many_members_are_stopped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_rule_files, "MAX_ARCHIVE_MEMBERS", 3)
        members = [(f"{number}.names", b"x") for number in range(5)]
        report = loaded(archive(tmp_path / "rules.tar.gz", members))
        assert ids(report) == ["0", "1", "2"]
        assert "has more than 3 entries" in str(report.errors[0])

    def test_a_cut_archive_is_an_error(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "rules.tar.gz", [("a.names", os.urandom(5000).hex().encode())])
        path.write_bytes(path.read_bytes()[:-2000])
        assert "is damaged or no archive" in str(loaded(path).errors[0])

    def test_a_broken_header_is_not_taken_for_the_end(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "rules.tar.gz", [("a.names", b"x"), ("b.names", b"x")])
        raw = bytearray(gzip.decompress(path.read_bytes()))
        raw[1024:1124] = b"\xff" * 100
        path.write_bytes(gzip.compress(bytes(raw)))
        report = loaded(path)
        assert ids(report) == ["a"]
        assert "broken header" in str(report.errors[0])

    @given(st.binary(max_size=2000), st.booleans())
    @settings(max_examples=150)
    def test_any_bytes_are_an_archive_or_an_error(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, compressed: bool
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "any.tar.gz"
        path.write_bytes(gzip.compress(content) if compressed else content)
        report = loaded(path)
        assert report.errors or not any(content)

    @given(st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=6))
    @settings(max_examples=150)
    def test_a_damaged_archive_never_raises(
        self, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "damaged.tar.gz"
        archive(path, [("a.names", b"x"), ("b.names", b"y")])
        raw = bytearray(gzip.decompress(path.read_bytes()))
        for position, value in changes:
            raw[position] = value
        path.write_bytes(gzip.compress(bytes(raw)))
        loaded(path)


def manifest(**changes: object) -> str:
    data: dict[str, object] = {
        "format_version": "1.0",
        "metadata": {
            "rule_id": "p-1",
            "rule_name": "A name",
            "rule_version": "2",
            "author": "somebody",
            "description": "What it finds.",
            "tags": ["t"],
            "severity": "high",
            "schema_version": "1",
        },
        "capabilities": {"supports_inline": False},
    }
    return json.dumps(data | changes, indent=1)


class TestPackages:
    def load(self, folder: Path, **options: object) -> LoadReport:
        return load_rules(folder, compilers=[EqlNamesCompiler()], **options)  # type: ignore[arg-type]

    def test_an_eql_package_takes_its_metadata_from_the_manifest(
        self, pack: Callable[..., Path]
    ) -> None:
        folder = pack(p__manifest_dot_json=manifest(), p__rule_dot_eql="sh", b_dot_eql="sh")
        report = self.load(folder)
        assert ids(report) == ["b", "p-1"]
        rule = report.rules[1]
        assert (rule.metadata.name, rule.metadata.version) == ("A name", "2")
        assert rule.metadata.authors == ("somebody",)
        assert rule.metadata.severity.value == "high"
        assert rule.metadata.extra["capabilities"] == {"supports_inline": False}

    def test_a_package_folder_can_be_named(self, pack: Callable[..., Path]) -> None:
        folder = pack(p__manifest_dot_json=manifest(), p__rule_dot_eql="sh")
        assert ids(self.load(folder / "p")) == ["p-1"]

    def test_a_package_in_an_archive(self, tmp_path: Path) -> None:
        members = [("p/manifest.json", manifest().encode()), ("p/rule.eql", b"sh")]
        assert ids(self.load(archive(tmp_path / "p.tar.gz", members))) == ["p-1"]

    def test_a_program_with_fields_and_prefilter(self, pack: Callable[..., Path]) -> None:
        text = manifest(fields={"process.pid": "long"}, prefilter="sh")
        report = self.load(pack(p__manifest_dot_json=text, p__predicate_dot_lua="return true"))
        assert report.errors == ()
        (rule,) = report.rules
        assert isinstance(rule.body, EventRule)
        program = rule.body.predicate
        assert isinstance(program, Program)
        assert (program.runtime, program.payload) == ("lua", b"return true")
        assert program.fields == {"process.pid": FieldType.LONG}
        assert rule.body.event_types == {"process"}
        assert rule.fields == ("process.name", "process.pid")

    def test_a_prefilter_has_no_pipes(self, pack: Callable[..., Path]) -> None:
        folder = pack(p__manifest_dot_json=manifest(prefilter="x | head"), p__predicate_dot_lua="x")
        assert [e.problem for e in self.load(folder).errors] == ["a prefilter has no pipes"]

    def test_a_program_for_a_runtime_that_is_not_there(self, pack: Callable[..., Path]) -> None:
        folder = pack(p__manifest_dot_json=manifest(), p__rule_dot_wat="(module)")
        report = self.load(folder, runtimes=["native"])
        assert [e.problem for e in report.errors] == [
            "no installed plugin brings the runtime `wasm`; install kestrel-wasm"
        ]

    def test_a_compiled_program_goes_before_its_text(self, pack: Callable[..., Path]) -> None:
        folder = pack(
            p__manifest_dot_json=manifest(), p__rule_dot_wat="(module)", p__rule_dot_wasm="w"
        )
        (rule,) = self.load(folder).rules
        assert isinstance(rule.body, EventRule)
        assert isinstance(rule.body.predicate, Program)
        assert rule.body.predicate.payload == b"w"

    @pytest.mark.parametrize(
        ("bodies", "sentence"),
        [
            ([], "has no rule beside its manifest: expected one of rule.eql"),
            (["rule.eql", "predicate.lua"], "has more than one rule: rule.eql, predicate.lua"),
        ],
    )
    def test_a_package_has_one_body(
        self, pack: Callable[..., Path], bodies: list[str], sentence: str
    ) -> None:
        folder = pack(p__manifest_dot_json=manifest())
        for body in bodies:
            (folder / "p" / body).write_text("sh", "utf-8")
        (error,) = self.load(folder).errors
        assert sentence in str(error)

    @pytest.mark.parametrize(
        ("text", "sentences"),
        [
            ("{", ["is not valid JSON"]),
            ("[" * 100_000, ["nested too deeply"]),
            ("[]", ["expected a table, not a list"]),
            ("{}", ["format_version: is missing", "metadata: is missing"]),
            (manifest(format_version="2"), ["unknown format version 2"]),
            (manifest(metadata={"rule_id": ""}), ["metadata.rule_id: is empty"]),
            (
                manifest(metadata={"rule_id": 1, "severity": "grave", "tag": []}),
                ["metadata.tag: unknown key; did you mean `tags`?", "rule_id", "severity"],
            ),
            (manifest(fields={"a": "strange"}), ["fields.a: expected one of `keyword`"]),
        ],
    )
    def test_a_bad_manifest_gives_all_its_errors(
        self, pack: Callable[..., Path], text: str, sentences: list[str]
    ) -> None:
        report = self.load(pack(p__manifest_dot_json=text, p__rule_dot_eql="sh"))
        assert len(report.errors) == len(sentences)
        for error, sentence in zip(report.errors, sentences, strict=True):
            assert sentence in str(error)
            assert "manifest.json" in str(error)

    def test_an_error_of_the_manifest_has_its_line(self, pack: Callable[..., Path]) -> None:
        text = '{"format_version": "1",\n "metadata": {"rule_id": "x",\n  "tags": 3}}'
        (error,) = self.load(pack(p__manifest_dot_json=text, p__rule_dot_eql="sh")).errors
        assert error.location is not None
        assert (error.location.line, error.location.column) == (3, 3)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
    keys = st.sampled_from(["format_version", "metadata", "fields", "prefilter", "event_types"])

    @given(st.dictionaries(keys, json_values))
    @settings(max_examples=100)
    def test_any_manifest_is_taken_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
    ) -> None:
        folder = tmp_path_factory.getbasetemp() / "package"
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps(data), "utf-8")
        (folder / "rule.wasm").write_bytes(b"w")
        assert self.load(folder).errors
