"""Building an engine: plugins, rules, runtimes, actions and pattern engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from engine_parts import (
    PATIENCE,
    PROCESS,
    RULES,
    SHELL,
    Parts,
    build,
    event,
    event_rule,
    named,
    program_rule,
)

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework.action import ActionStatus
from kestrel_framework.config import (
    ActionConfig,
    Configuration,
    EngineConfig,
    RulesConfig,
    SourceConfig,
    StateConfig,
)
from kestrel_framework.engine import Engine
from kestrel_framework.errors import (
    ConfigurationError,
    PluginError,
    RuleError,
)
from kestrel_framework.interfaces import (
    CompiledPatterns,
    Failure,
    FieldValue,
    Outcome,
    Pattern,
    RuleFile,
)
from kestrel_framework.predicate import Field, Wildcard
from kestrel_framework.rule import (
    EventRule,
    Program,
    Rule,
    RuleMetadata,
    RuleSet,
    RuleSource,
)
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing.fakes import (
    FakeSource,
    RecordingAction,
)


def test_what_is_not_there_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(Parts(), sources={"audit": SourceConfig("jsnol", {})})
    assert caught.value.path == "sources.audit.type"
    assert "did you mean `jsonl`?" in str(caught.value)
    for section in ("compilers", "evaluators", "pattern_engines"):
        with pytest.raises(ConfigurationError, match=rf"{section}\.lua"):
            build(Parts(), RULES, **{section: {"lua": {}}})
    with pytest.raises(ConfigurationError, match=r"evaluators\.native\.speed: unknown key"):
        build(Parts(), RULES, evaluators={"native": {"speed": 9}})
    with pytest.raises(ConfigurationError, match=r"engine\.runtime"):
        build(Parts(), engine=EngineConfig(runtime="wasm"))
    with pytest.raises(ConfigurationError, match=r"pattern_engines\.native\.speed: unknown key"):
        build(Parts(), RULES, pattern_engines={"native": {"speed": 9}})
    with pytest.raises(ConfigurationError, match=r"engine\.pattern_engine"):
        build(Parts(), engine=EngineConfig(pattern_engine="natvie"))
    with pytest.raises(ConfigurationError, match=r"state\.type"):
        build(Parts(), state=StateConfig(type="redis"))


def test_a_broken_plugin_that_was_passed_stops_the_start() -> None:
    with pytest.raises(PluginError):
        Engine.build(Configuration(), plugins=[object()], discover=False)


class Compiler:
    """Each line of a file is the name of a process, or an error."""

    language = "names"
    suffixes = (".names",)

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        from kestrel_framework.errors import SourceLocation

        return [
            RuleSource(RuleMetadata(line), "names", line, SourceLocation(file.path, number))
            for number, line in enumerate(file.text().splitlines(), 1)
        ]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        if source.text == "wrong":
            raise RuleError("is wrong", source.location)
        if source.text == "bug":
            raise ValueError("a bug")
        return Rule(source.metadata, EventRule(PROCESS, named(source.text)))


def with_rules(tmp_path: Path, text: str, *, strict: bool = False) -> Engine:
    path = tmp_path / "rules.names"
    path.write_text(text)
    parts = Parts({"audit": FakeSource([event()])}, {}, compilers={"names": Compiler()})
    return build(parts, None, rules=RulesConfig((path,), strict=strict))


def test_rules_are_loaded_and_wrong_ones_do_not_stop_the_others(tmp_path: Path) -> None:
    engine = with_rules(tmp_path, "sh\nwrong\nbug\n")
    wrong, bug = map(str, engine.load_report.errors)
    assert wrong.endswith(":2: is wrong")
    assert "plugin Parts" in bug
    report = engine.run()
    assert report.statistics["alerts_by_rule"] == {"sh": 1}
    assert report.statistics["rules"] == {"loaded": 1, "rejected": 1}


def test_a_strict_engine_does_not_start_with_a_wrong_rule(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="is wrong"):
        with_rules(tmp_path, "sh\nwrong\n", strict=True)
    with pytest.raises(ExceptionGroup):
        with_rules(tmp_path, "wrong\nbug\n", strict=True)


def test_a_language_of_two_plugins_fails_the_rules_that_need_it(tmp_path: Path) -> None:
    class Other(Parts):
        pass

    path = tmp_path / "rules.names"
    path.write_text("sh\n")
    configuration = Configuration(rules=RulesConfig((path,)))
    plugins = [kind(compilers={"names": Compiler()}) for kind in (Parts, Other)]
    engine = Engine.build(configuration, plugins=plugins, discover=False)
    assert "offered by the plugins `Parts` and `Other`" in str(engine.load_report.errors[0])


class Runtime:
    """A runtime whose programs answer with the one byte they are made of."""

    def load(self, condition: object, fields: object, limits: object) -> Runtime:
        assert isinstance(condition, Program)
        if condition.payload == b"refused":
            raise RuleError("no such instruction")
        self.payload = condition.payload
        return self

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        if self.payload == b"raise":
            raise SystemExit(1)
        return [Failure("overrun") if self.payload == b"f" else True for _ in rows]


@pytest.mark.parametrize(
    ("payload", "alerts", "failures"),
    [(b"t", 2, {}), (b"f", 1, {"f": 1}), (b"raise", 1, {"raise": 1})],
)
def test_programs_run_in_their_runtime_and_a_failure_is_no_match(
    payload: bytes, alerts: int, failures: dict[str, int]
) -> None:
    parts = Parts({"audit": FakeSource([event()])}, evaluators={"toy": Runtime()})
    report = build(parts, RuleSet((SHELL, program_rule(payload)))).run()
    assert report.statistics["alerts"] == alerts
    assert report.statistics["failures_by_rule"] == failures


def test_actions_are_requested_for_alerts() -> None:
    executor = RecordingAction()
    parts = Parts({"audit": FakeSource([event()])}, actions={"kill": executor})
    report = build(
        parts,
        RuleSet((event_rule("sh", "kill", "reboot"),)),
        actions={"stop": ActionConfig("kill", {}, dry_run=False)},
    ).run()
    assert len(executor.done) == 1
    assert report.statistics["actions"] == {
        ActionStatus.DONE.value: 1,
        ActionStatus.REFUSED.value: 1,
    }


@pytest.mark.parametrize("works", [True, False])
def test_the_pattern_engine_that_is_configured_finds_patterns(works: bool) -> None:
    engine = CountingPatterns(works)
    source = {"audit": FakeSource([event("bash"), event("zsh")])}
    parts = Parts(source, pattern_engines={"toy": engine})
    ends_with_sh = Wildcard(Field("process.name"), ("*sh",))
    rules = RuleSet((Rule(RuleMetadata("shell"), EventRule(PROCESS, ends_with_sh)),))
    assert build(parts, rules).run().statistics["alerts"] == 2
    assert not engine.asked
    configured = EngineConfig(pattern_engine="toy", read_timeout=0.05, close_timeout=PATIENCE)
    parts.sources = {"audit": FakeSource([event("bash"), event("zsh")])}
    assert build(parts, rules, engine=configured).run().statistics["alerts"] == 2
    assert engine.asked == (["", "bash", "zsh"] if works else [""])


class CountingPatterns(NativePatternEngine):
    """The kernel's own engine, which keeps what it was asked about, and may fail."""

    def __init__(self, works: bool) -> None:
        self.asked: list[str] = []
        self.works = works

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        self.database = super().compile(patterns).database
        return CompiledPatterns(self)

    def matches(self, text: str) -> Sequence[int]:
        self.asked.append(text)
        if not self.works:
            raise RuntimeError("out of order")
        return self.database.matches(text)
