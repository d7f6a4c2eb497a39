"""The configuration: precedence, checks, all errors at once, origins, secrets."""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.config import (
    Configuration,
    Setting,
    SourceConfig,
    UntypedText,
    environment_settings,
    load_configuration,
    type_name,
    typed_section,
)
from kestrel_framework.errors import ConfigurationError


def problems(error: ConfigurationError) -> list[str]:
    return [str(one) for one in error.errors or (error,)]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "kestrel.toml"


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Inner:
    size: int = attrs.field(default=1, validator=attrs.validators.ge(0))


@attrs.frozen
class Options:
    path: Path = attrs.field(metadata={"help": "The file."})
    ratio: float = 0.5
    mode: Literal["fast", "slow"] = "fast"
    colour: Colour = Colour.RED
    names: tuple[str, ...] = ()
    limit: int | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    inner: Inner = attrs.field(factory=Inner)
    follow: bool = False
    password: str = attrs.field(
        default="",
        metadata={"secret": True},
        validator=attrs.validators.max_len(12),
        repr=False,
    )


class TestPrecedence:
    def test_the_command_line_goes_before_the_environment_before_the_file(
        self, config_file: Path
    ) -> None:
        config_file.write_text(
            "[engine]\nbatch_size = 1\nqueue_batches = 2\nqueue_alerts = 3\n", "utf-8"
        )
        configuration = load_configuration(
            config_file,
            {"KESTREL_ENGINE__QUEUE_BATCHES": "20", "KESTREL_ENGINE__QUEUE_ALERTS": "30"},
            [Setting.parse("engine.queue_alerts=300", "--set")],
        )
        engine = configuration.engine
        assert (engine.batch_size, engine.queue_batches, engine.queue_alerts) == (1, 20, 300)

    def test_every_value_knows_where_it_comes_from(self, config_file: Path) -> None:
        config_file.write_text('[sources.audit]\ntype = "jsonl"\npath = "a"\n', "utf-8")
        origins = load_configuration(
            config_file,
            {"KESTREL_ENGINE__RUNTIME": "lua"},
            [Setting(("rules", "strict"), True, "--strict")],
        ).origins
        assert origins == {
            "sources.audit.type": str(config_file),
            "sources.audit.path": str(config_file),
            "engine.runtime": "environment KESTREL_ENGINE__RUNTIME",
            "rules.strict": "--strict",
        }

    def test_nothing_at_all_is_a_configuration(self) -> None:
        assert load_configuration() == Configuration()

    def test_variables_without_a_section_are_no_settings(self) -> None:
        assert (
            environment_settings({"KESTREL_CORPUS": "x", "KESTREL_CONFIG": "y", "PATH": "z"}) == []
        )

    def test_an_embedder_needs_no_file(self) -> None:
        configuration = Configuration(sources={"in": SourceConfig("jsonl", {"path": "x"})})
        assert configuration.engine.runtime == "native"
        assert "'path'" not in repr(configuration), "options can hold secrets"


class TestChecks:
    def test_all_errors_are_found_at_once(self, config_file: Path) -> None:
        config_file.write_text(
            "surprise = 1\n[engine]\nbatch_siz = 1\nbatch_size = 0\n[sources.audit]\n"
            '[outputs."a b"]\ntype = "console"\n[rules]\npaths = [1]\n[plugins]\nallow = "eql"\n'
            '[events]\ntimestamp_unit = "weeks"\n',
            "utf-8",
        )
        with pytest.raises(ConfigurationError) as caught:
            load_configuration(config_file, {"KESTREL_ENGINE__QUEUE_BATCHES": "many"})
        found = {error.path: error.problem for error in caught.value.errors}
        assert set(found) == {
            "surprise",
            "engine.batch_siz",
            "engine.queue_batches",
            "sources.audit.type",
            "outputs.a b",
            "rules.paths[0]",
            "plugins.allow",
            "events.timestamp_unit",
        }
        assert "did you mean `batch_size`?" in found["engine.batch_siz"]
        assert "a whole number" in found["engine.queue_batches"]
        assert "`filetime`" in found["events.timestamp_unit"]

    def test_a_value_out_of_range_is_named(self) -> None:
        with pytest.raises(ConfigurationError, match=r"engine: 'batch_size' must be >= 1"):
            Configuration.from_mapping({"engine": {"batch_size": 0}})

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"[engine", "is not valid TOML"),
            (b"\xff\xfe", "is not UTF-8"),
            (b"a = " + b"[" * 20_000, "is not valid TOML"),
            (b"a = " + b"9" * 5_000, "is not valid TOML"),
            (b"engine = 3", "engine: expected a table, not the number 3"),
            (b"engine.batch_size = 0x" + b"f" * 6_000, "beyond 64 bits"),
        ],
    )
    def test_a_file_that_cannot_be_understood(
        self, config_file: Path, content: bytes, sentence: str
    ) -> None:
        config_file.write_bytes(content)
        with pytest.raises(ConfigurationError, match=sentence):
            load_configuration(config_file)

    def test_what_has_no_end_is_not_read(self, config_file: Path) -> None:
        for path in (Path("/dev/zero"), config_file.parent):
            with pytest.raises(ConfigurationError, match="is not a file"):
                load_configuration(path)
        os.mkfifo(config_file)
        with pytest.raises(ConfigurationError, match=r"kestrel\.toml: is not a file"):
            load_configuration(config_file)

    def test_a_file_that_nobody_can_have_written(self, config_file: Path) -> None:
        with config_file.open("wb") as file:
            file.truncate((1 << 24) + 1)
        with pytest.raises(ConfigurationError, match="is larger than 16777216 bytes"):
            load_configuration(config_file)

    def test_a_file_that_is_not_there(self, config_file: Path) -> None:
        with pytest.raises(
            ConfigurationError, match=r"kestrel\.toml: cannot be read: No such file"
        ):
            load_configuration(config_file)

    def test_a_setting_inside_a_value_that_is_no_table(self, config_file: Path) -> None:
        config_file.write_text("[engine]\nbatch_size = 5\n", "utf-8")
        setting = Setting.parse("engine.batch_size.x=1", "--set")
        with pytest.raises(ConfigurationError, match=r"engine\.batch_size: is no table.*--set"):
            load_configuration(config_file, {}, [setting])

    @pytest.mark.parametrize("text", ["engine", "engine=1", ".=1", "engine..x=1", "=1"])
    def test_a_setting_without_section_and_key(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match=r"expected `section\.key=value`"):
            Setting.parse(text, "--set")

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    sections = st.sampled_from([a.name for a in attrs.fields(Configuration)])
    keys = st.sampled_from(["type", "paths", "allow", "batch_size", "read_timeout", "x", ""])

    @given(st.dictionaries(sections, json_values | st.dictionaries(keys, json_values)))
    def test_any_value_at_all_is_taken_or_refused(self, tables: dict[str, object]) -> None:
        with contextlib.suppress(ConfigurationError):
            assert isinstance(Configuration.from_mapping(tables).engine.batch_size, int)

    @given(st.text(max_size=40), st.text(max_size=20))
    def test_any_environment_is_taken_or_refused(self, value: str, key: str) -> None:
        names = ("ENGINE__BATCH_SIZE", "RULES__PATHS", "SOURCES__A__TYPE", f"SOURCES__{key}")
        environment = {f"KESTREL_{name}": value for name in names}
        with contextlib.suppress(ConfigurationError):
            assert load_configuration(None, environment).origins


class TestTypedSection:
    def test_every_type(self) -> None:
        options = typed_section(
            Options,
            {
                "path": "/var/log/events",
                "ratio": 1,
                "mode": "slow",
                "colour": "red",
                "names": ["a", "b"],
                "limit": 3,
                "labels": {"k": "v"},
                "inner": {"size": 2},
                "follow": True,
            },
            "sources.audit",
        )
        assert options == Options(
            Path("/var/log/events"),
            1.0,
            "slow",
            Colour.RED,
            ("a", "b"),
            3,
            {"k": "v"},
            Inner(2),
            True,
        )

    @pytest.mark.parametrize(
        ("key", "value", "sentence"),
        [
            ("path", 3, "expected a path, not the number 3"),
            ("path", "a\0b", "expected a path"),
            ("ratio", "1", "expected a number, not the text '1'"),
            ("ratio", float("nan"), "expected a number"),
            ("ratio", True, "expected a number, not true"),
            ("mode", "quick", "expected one of `fast`, `slow`, not the text 'quick'"),
            ("colour", "blue", "expected one of `red`"),
            ("names", "a", "expected a list of texts, not the text 'a'"),
            ("limit", True, "expected a whole number, not true"),
            ("limit", 1.0, "expected a whole number, not the number 1.0"),
            ("labels", {"k": 1}, "expected a text"),
            ("inner", {"siz": 1}, "unknown key; did you mean `size`?"),
            ("inner", {"size": -1}, "'size' must be >= 0: -1"),
            ("follow", 1, "expected true or false"),
            ("paht", "x", "unknown key; did you mean `path`?"),
        ],
    )
    def test_a_wrong_value(self, key: str, value: object, sentence: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            typed_section(Options, {"path": "x", key: value}, "sources.audit")
        (problem,) = problems(caught.value)
        assert problem.startswith("sources.audit.")
        assert sentence in problem

    def test_a_missing_key_says_what_it_is_for(self) -> None:
        with pytest.raises(ConfigurationError, match=r"outputs\.a\.path: is missing: The file\."):
            typed_section(Options, {}, "outputs.a")

    @pytest.mark.parametrize("secret", ["correct horse battery staple", 424242424242])
    def test_a_secret_stays_one(self, secret: object) -> None:
        with pytest.raises(ConfigurationError) as caught:
            typed_section(Options, {"path": "x", "password": secret}, "outputs.a")
        assert str(secret) not in str(caught.value)
        assert "password" in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("path", "12", Path("12")),
            ("limit", "12", 12),
            ("ratio", "0.25", 0.25),
            ("follow", "true", True),
            ("mode", "slow", "slow"),
            ("names", "a,b", ("a,b",)),
            ("names", '["a", "b"]', ("a", "b")),
            ("labels", '{k = "v"}', {"k": "v"}),
            ("password", "0123", "0123"),
        ],
    )
    def test_text_from_outside_a_file_is_read_as_its_key_needs_it(
        self, key: str, text: str, value: object
    ) -> None:
        options = typed_section(Options, {"path": "x", key: UntypedText(text)}, "x")
        assert getattr(options, key) == value

    def test_text_cannot_bring_other_keys_along(self) -> None:
        with pytest.raises(ConfigurationError, match="limit: expected a whole number"):
            typed_section(Options, {"path": "x", "limit": UntypedText("1\nother = 2")}, "x")

    def test_an_error_of_the_class_itself_names_its_key(self) -> None:
        @attrs.frozen
        class Strict:
            a: int = 0

            def __attrs_post_init__(self) -> None:
                raise ConfigurationError("goes with `b` only", path="a")

        with pytest.raises(ConfigurationError, match=r"outputs\.x\.a: goes with `b` only"):
            typed_section(Strict, {}, "outputs.x")

    @pytest.mark.parametrize(
        ("wanted", "name"),
        [
            (str, "a text"),
            (tuple[int, ...], "a list of whole numbers"),
            (str | None, "a text"),
            (str | tuple[str, ...], "a text or a list of texts"),
            (Mapping[str, str], "a table"),
            (tuple[Inner, ...], "a list of values, each a table"),
        ],
    )
    def test_types_have_names_for_people(self, wanted: object, name: str) -> None:
        assert type_name(wanted) == name


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, "memory"),
        ({"directory": "d"}, "builtin:sqlite"),
        ({"directory": "d", "type": "memory"}, "memory"),
        ({"type": "sqlite"}, "sqlite"),
        ({"directory": "d", "type": "redis", "url": "u"}, "redis"),
    ],
)
def test_state_is_kept_where_there_is_a_folder_for_it(
    table: dict[str, object], expected: str
) -> None:
    assert Configuration.from_mapping({"state": table}).state.type == expected
