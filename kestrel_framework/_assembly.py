"""Building an engine's parts from a configuration, before anything is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import attrs

from kestrel_framework._pipeline.action_runner import PermittedAction
from kestrel_framework._plugins.contexts import InstanceCounters
from kestrel_framework._plugins.discovery import BUILTIN
from kestrel_framework._plugins.fault_tally import FaultTally
from kestrel_framework._plugins.faults import FaultBoundary
from kestrel_framework._plugins.guarded_patterns import GuardedPatternEngine
from kestrel_framework._plugins.guarded_rules import AmbiguousCompiler, GuardedEvaluator
from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework._plugins.registry import Offering, Offers, PluginRegistry
from kestrel_framework.config import FORGETFUL_STATE, Configuration
from kestrel_framework.detector import Detector
from kestrel_framework.errors import ConfigurationError, KestrelError, RuleError
from kestrel_framework.interfaces import (
    EventSource,
    OutputHandler,
    PatternEngine,
    PredicateEvaluator,
    RuleCompiler,
    StateStore,
    SupportsOwnership,
)
from kestrel_framework.rule import LoadReport, RuleSet
from kestrel_framework.rule_loading import load_rules

NATIVE: Final = "native"

ObjectT = TypeVar("ObjectT")


@attrs.frozen(eq=False)
class Assembly:
    """The parts of one engine; nothing is open yet.

    Attributes:
        registry: The plugins.
        sources, outputs: By instance name, in the order of the configuration.
        actions: What is allowed.
        store: The state store, or None where nothing outlives the engine.
        pattern_engine: What finds patterns in texts; None is the detector's own.
        detector: With the rules loaded.
        load_report: What loading the rules gave.
        load_rules: Loads the rules that the configuration names once more.
        counters: The counters of each instance.
        faults: The failed calls.
    """

    registry: PluginRegistry
    sources: Mapping[str, EventSource]
    outputs: Mapping[str, OutputHandler]
    actions: tuple[PermittedAction, ...]
    store: StateStore | None
    pattern_engine: PatternEngine | None
    detector: Detector
    load_report: LoadReport
    load_rules: Callable[[], LoadReport]
    counters: Mapping[str, InstanceCounters]
    faults: FaultTally


class Assembler:
    """Makes the parts of one engine, in the order in which they need each other.

    Args:
        configuration: What to make.
        registry: Where to take it from.
        aborting: Set once nobody should wait for another attempt.
    """

    def __init__(
        self, configuration: Configuration, registry: PluginRegistry, aborting: threading.Event
    ) -> None:
        self._configuration = configuration
        self._registry = registry
        self._aborting = aborting
        self._counters: dict[str, InstanceCounters] = {}
        self._faults = FaultTally()
        self._compilers: Sequence[RuleCompiler] | None = None

    def assemble(self, rules: RuleSet | None) -> Assembly:
        """Make everything.

        Args:
            rules: The rules to run instead of those that the configuration names.

        Raises:
            ConfigurationError: the configuration asks for what is not there.
            PluginError: a plugin that the configuration names failed.
            RuleError: a rule is wrong, where the configuration is strict; or an
                `ExceptionGroup` of them.
        """
        configuration, registry = self._configuration, self._registry
        sources = {
            name: self._instance(registry.sources, "sources", name, section.type, section.options)
            for name, section in configuration.sources.items()
        }
        outputs = {
            name: self._instance(registry.outputs, "outputs", name, section.type, section.options)
            for name, section in configuration.outputs.items()
        }
        actions = tuple(
            PermittedAction(
                name,
                section.type.rpartition(":")[2],
                self._instance(registry.actions, "actions", name, section.type, section.options),
                section.rules,
                section.dry_run,
                section.per_minute,
            )
            for name, section in configuration.actions.items()
        )
        self._refuse_unknown(registry.compilers, "compilers", configuration.compilers)
        evaluators = self._evaluators()
        load = partial(self._rules, (NATIVE, *evaluators))
        report = load() if rules is None else LoadReport(rules.rules)
        pattern_engine = self._pattern_engine()
        return Assembly(
            registry,
            sources,
            outputs,
            actions,
            self._store(),
            pattern_engine,
            *self._detector(report, evaluators, pattern_engine),
            load,
            self._counters,
            self._faults,
        )

    def compilers(self) -> list[RuleCompiler]:
        """Return every rule language; one that cannot be made is logged, and missing.

        Raises:
            ConfigurationError: a language that the configuration names cannot be made.
        """
        offers = self._registry.compilers
        compilers: list[RuleCompiler] = []
        for language in offers.names():
            made = [
                compiler
                for offering in offers
                if offering.name == language
                and (compiler := self._optional(offering, self._configuration.compilers))
            ]
            if len(made) > 1:
                try:
                    offers.resolve(language)
                except ConfigurationError as error:
                    compilers.append(AmbiguousCompiler(language, made, error.problem))
            else:
                compilers += made
        return compilers

    def _evaluators(self) -> dict[str, PredicateEvaluator]:
        """Return every runtime beside the native one, which answers where another fails."""
        offers = self._registry.evaluators
        runtime = self._configuration.engine.runtime
        self._refuse_unknown(offers, "evaluators", self._configuration.evaluators)
        if runtime != NATIVE:
            offers.resolve(runtime, "engine.runtime")
        native = offers.resolve(f"{BUILTIN.name}:{NATIVE}").create(
            self._configuration.evaluators.get(NATIVE), path=f"evaluators.{NATIVE}"
        )
        evaluators: dict[str, PredicateEvaluator] = {}
        for offering in offers:
            if offering.name == NATIVE or offering.name not in offers:
                continue
            evaluator = self._optional(
                offering, self._configuration.evaluators, required=offering.name == runtime
            )
            if isinstance(evaluator, GuardedEvaluator):
                evaluators[offering.name] = evaluator.with_fallback(native)
        return evaluators

    def _pattern_engine(self) -> PatternEngine | None:
        """Return the engine that the configuration names; None is the detector's own."""
        offers = self._registry.pattern_engines
        configured = self._configuration.pattern_engines
        self._refuse_unknown(offers, "pattern_engines", configured)
        own = offers.resolve(f"{BUILTIN.name}:{NATIVE}")
        native = own.create(configured.get(NATIVE), path=f"pattern_engines.{NATIVE}")
        name = self._configuration.engine.pattern_engine
        offering = own if name == NATIVE else offers.resolve(name, "engine.pattern_engine")
        if offering is own:
            return None
        engine = self._create(
            offering,
            f"pattern_engines.{offering.name}",
            offering.name,
            configured.get(offering.name, {}),
        )
        assert isinstance(engine, GuardedPatternEngine)
        return engine.with_fallback(native)

    def _rules(self, runtimes: Sequence[str]) -> LoadReport:
        if self._compilers is None:
            self._compilers = self.compilers()
        configured = self._configuration.rules
        report = load_rules(
            *configured.paths,
            compilers=self._compilers,
            schema=self._registry.schema,
            strict=configured.strict,
            runtimes=runtimes,
        )
        if configured.strict and report.errors:
            raise _one_or_all(report.errors)
        return report

    def _detector(
        self,
        report: LoadReport,
        evaluators: Mapping[str, PredicateEvaluator],
        pattern_engine: PatternEngine | None,
    ) -> tuple[Detector, LoadReport]:
        """Return a detector with all rules that their runtimes take, and those that they do not."""
        while True:
            try:
                detector = Detector(
                    report,
                    schema=self._registry.schema,
                    settings=self._configuration.events,
                    evaluators=evaluators,
                    runtime=self._configuration.engine.runtime,
                    pattern_engine=pattern_engine,
                    lineage_processes=self._configuration.engine.lineage_processes,
                    time=self._configuration.time,
                    on_rule_change=self._configuration.rules.on_change,
                )
            except RuleError as error:
                kept = without_refused(report, error)
                if self._configuration.rules.strict or kept is None:
                    raise
                report = kept
            else:
                return detector, report

    def _store(self) -> StateStore | None:
        state = self._configuration.state
        store = None
        if state.type != FORGETFUL_STATE:
            stores = self._registry.state_stores
            store = self._instance(stores, "state", "", state.type, state.options)
        if state.standby and not isinstance(store, SupportsOwnership):
            problem = f"the state store `{state.type}` has no owner whose place could be taken"
            raise ConfigurationError(problem, path="state.standby")
        return store

    def _instance(
        self,
        offers: Offers[ObjectT],
        section: str,
        name: str,
        type_name: str,
        options: Mapping[str, object],
    ) -> ObjectT:
        path = f"{section}.{name}" if name else section
        offering = offers.resolve(type_name, f"{path}.type")
        return self._create(offering, path, name or section, options)

    def _optional(
        self,
        offering: Offering[ObjectT],
        configured: Mapping[str, Mapping[str, object]],
        *,
        required: bool = False,
    ) -> ObjectT | None:
        """Return what is there without being named; a failure matters only if it is named."""
        section = offering.interface.plural
        try:
            return self._create(
                offering,
                f"{section}.{offering.name}",
                offering.name,
                configured.get(offering.name, {}),
            )
        except KestrelError as error:
            if required or offering.name in configured:
                raise
            kernel_logger(plugin=offering.plugin).warning("offer is broken", problem=str(error))
            return None

    def _create(
        self, offering: Offering[ObjectT], path: str, instance: str, options: Mapping[str, object]
    ) -> ObjectT:
        counters = InstanceCounters()
        self._counters[path] = counters
        boundary = FaultBoundary(
            offering.plugin, path, wait=self._aborting.wait, observer=self._faults
        )
        context = offering.context(instance, counters, self._folder(path))
        return offering.create(options, path=path, context=context, boundary=boundary)

    def _folder(self, path: str) -> Path | None:
        """Return the private folder of an instance, made if need be."""
        root = self._configuration.state.directory
        if root is None:
            return None
        folder = root / path
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            problem = f"{folder}: cannot be made: {error.strerror or error}"
            raise ConfigurationError(problem, path="state.directory") from error
        return folder

    def _refuse_unknown(
        self, offers: Offers[ObjectT], section: str, configured: Iterable[str]
    ) -> None:
        for name in configured:
            if name not in offers:
                offers.resolve(name, f"{section}.{name}")


def without_refused(report: LoadReport, error: RuleError) -> LoadReport | None:
    """Return rules without the one that its runtime does not take; None if it is not known."""
    refused = error.context.get("rule")
    kept = tuple(rule for rule in report.rules if rule.rule_id != refused)
    if len(kept) == len(report.rules):
        return None
    return attrs.evolve(report, rules=kept, errors=(*report.errors, error))


def _one_or_all(errors: Iterable[RuleError]) -> RuleError | ExceptionGroup[RuleError]:
    listed = list(errors)
    return listed[0] if len(listed) == 1 else ExceptionGroup("the rules have errors", listed)
