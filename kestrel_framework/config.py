"""The configuration: `kestrel.toml`, then the environment, then the command line.

What comes later wins. Every key is checked, all errors are found at once, and each
value remembers where it came from. What a plugin is configured with stays raw
(`SectionConfig.options`) until its own class is known: see `typed_section`.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Self

import attrs
from attrs import validators

from kestrel_framework._shared_config import SharedConfig
from kestrel_framework._typed_section import (
    SettingsReader,
    UntypedText,
    as_error,
    type_name,
    typed_section,
)
from kestrel_framework.errors import ConfigurationError
from kestrel_framework.event import EventSettings, TimeSettings
from kestrel_framework.reload import OnRuleChange

__all__ = [
    "ActionConfig",
    "Configuration",
    "EngineConfig",
    "PluginsConfig",
    "RulesConfig",
    "SectionConfig",
    "Setting",
    "SharedConfig",
    "StateConfig",
    "UntypedText",
    "environment_settings",
    "load_configuration",
    "type_name",
    "typed_section",
]

ENVIRONMENT_PREFIX: Final = "KESTREL_"
FORGETFUL_STATE: Final = "memory"
"""The type of state store that stands for none."""
_LARGEST_FILE: Final = 1 << 24
_LONGEST_OWNER: Final = 256
_INSTANCE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@attrs.frozen
class RulesConfig:
    """Which rules run."""

    paths: tuple[Path, ...] = attrs.field(
        default=(),
        metadata={
            "help": "Rule files, folders and .tar.gz archives. Each is a pack; a later one "
            "replaces rules of an earlier one that have the same id."
        },
    )
    strict: bool = attrs.field(
        default=False,
        metadata={"help": "Do not start if any rule has an error or an unknown field."},
    )
    on_change: OnRuleChange = attrs.field(
        default=OnRuleChange.DRAIN,
        metadata={
            "help": "What becomes of sequences under way whose rule changes or goes: with `drain` "
            "they go on with the old meaning until they end; with `drop` they end at once."
        },
    )


@attrs.frozen
class SectionConfig:
    """One instance of what a plugin offers: its type, and options that only the plugin knows."""

    type: str = attrs.field(
        metadata={"help": "What to use: a type name, or `plugin:type` where two plugins offer it."}
    )
    options: Mapping[str, object] = attrs.field(default=_NOTHING, repr=False)


@attrs.frozen
class SourceConfig(SectionConfig):
    """A source: what it is, and how its time is taken."""

    disorder: float | None = attrs.field(
        default=None,
        validator=validators.optional([validators.ge(0.0), validators.le(1e9)]),
        metadata={
            "help": "Seconds of event time that an event may come after a later one. Sequences "
            "are found that much later, and miss what comes later still. Without it, the source "
            "says it itself."
        },
    )
    idle_after: float = attrs.field(
        default=10.0,
        validator=[validators.gt(0.0), validators.le(1e9)],
        metadata={
            "help": "Seconds without an event, or a promise of the source that none older than "
            "some time will come, after which nothing waits for this source."
        },
    )


@attrs.frozen
class ActionConfig(SectionConfig):
    """An action that the operator allows. Rules ask for it by its type."""

    dry_run: bool = attrs.field(
        default=True,
        metadata={"help": "Only say what would be done."},
    )
    rules: tuple[str, ...] = attrs.field(
        default=("*",),
        metadata={"help": "Ids of the rules that may have it done; `*` stands for every rule."},
    )
    per_minute: int = attrs.field(
        default=60,
        validator=[validators.ge(1), validators.le(1_000_000)],
        metadata={"help": "How often a minute one rule may have it done."},
    )


def _state_type(state: StateConfig) -> str:
    # Whatever else is installed: a plugin with a `sqlite` of its own must not stop an agent.
    return FORGETFUL_STATE if state.directory is None else "builtin:sqlite"


def _check_owner(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.isprintable() or not 1 <= len(value.encode(errors="replace")) <= _LONGEST_OWNER:
        problem = f"must be 1 to {_LONGEST_OWNER} bytes that can be printed, not {value[:80]!r}"
        raise ConfigurationError(problem, path=attribute.name)


@attrs.frozen
class StateConfig(SectionConfig):
    """Where the state is kept."""

    directory: Path | None = attrs.field(
        default=None,
        metadata={"help": "A private folder for the state store and for plugins."},
    )
    type: str = attrs.field(
        default=attrs.Factory(_state_type, takes_self=True),
        metadata={
            "help": "The type of the state store. Default: `builtin:sqlite` where there is a "
            "`directory`, else `memory`, which forgets."
        },
    )
    owner: str | None = attrs.field(
        default=None,
        validator=validators.optional(_check_owner),
        metadata={
            "help": "Who owns the state, where the store has one owner at a time: each host its "
            "own name. An engine that starts takes the place of one of the same name at once. "
            "Default: the name of the host."
        },
    )
    lease: float = attrs.field(
        default=15.0,
        validator=[validators.ge(0.5), validators.le(86_400.0)],
        metadata={
            "help": "Seconds after which another engine may take the state over from one that is "
            "not heard of."
        },
    )
    standby: bool = attrs.field(
        default=False,
        metadata={
            "help": "Where another engine owns the state, wait to take its place, instead of "
            "failing. Needs a store that has owners, such as `redis`."
        },
    )
    outage: Literal["wait", "go_on"] = attrs.field(
        default="wait",
        metadata={
            "help": "What follows while the store is away: `wait` reads no further until it is "
            "back; `go_on` matches and alerts without commits."
        },
    )


@attrs.frozen
class PluginsConfig:
    """Which installed plugins are loaded."""

    allow: tuple[str, ...] | None = attrs.field(
        default=None,
        metadata={"help": "Load only these. A plugin named here that fails stops the start-up."},
    )
    deny: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "Never load these, whatever `allow` says."}
    )


@attrs.frozen
class EngineConfig:
    """How the engine works."""

    runtime: str = attrs.field(
        default="native", metadata={"help": "The runtime that evaluates predicates."}
    )
    pattern_engine: str = attrs.field(
        default="native",
        metadata={"help": "What finds the wildcards and regular expressions that match a text."},
    )
    workers: int = attrs.field(
        default=1,
        validator=[validators.ge(1), validators.le(64)],
        metadata={
            "help": "How many processes match events. With 1, the main process does it itself."
        },
    )
    batch_size: int = attrs.field(
        default=1000,
        validator=[validators.ge(1), validators.le(1_000_000)],
        metadata={"help": "The most events that a source hands over at once."},
    )
    queue_batches: int = attrs.field(
        default=4,
        validator=[validators.ge(1), validators.le(10_000)],
        metadata={"help": "How many batches may wait between a source and the detector."},
    )
    queue_alerts: int = attrs.field(
        default=10_000,
        validator=[validators.ge(1), validators.le(10_000_000)],
        metadata={"help": "How many alerts may wait for an output; then reading waits for it."},
    )
    lineage_processes: int = attrs.field(
        default=65_536,
        validator=[validators.ge(1), validators.le(10_000_000)],
        metadata={
            "help": "The most processes that are remembered, where rules ask for lineage. A "
            "thousand take about half a megabyte."
        },
    )
    checkpoint_interval: float = attrs.field(
        default=5.0,
        validator=[validators.ge(0.0), validators.le(3600.0)],
        metadata={
            "help": "Seconds between commits of the state, at least; with 0, each batch is "
            "committed. A commit costs more the more sequences are under way."
        },
    )
    read_timeout: float = attrs.field(
        default=0.5,
        validator=[validators.gt(0.0), validators.le(60.0)],
        metadata={"help": "Seconds that a quiet source is waited for before time may go on."},
    )
    close_timeout: float = attrs.field(
        default=5.0,
        validator=[validators.gt(0.0), validators.le(3600.0)],
        metadata={"help": "Seconds that a plugin has for closing before it is left behind."},
    )


@attrs.frozen
class Configuration:
    """A whole configuration. Embedders build it in Python; files are read by `load_configuration`.

    Attributes:
        rules: Which rules run.
        sources: Event sources by instance name.
        outputs: Outputs by instance name.
        actions: Allowed actions by instance name.
        compilers: Options of rule languages, by language.
        evaluators: Options of runtimes, by runtime name.
        pattern_engines: Options of pattern engines, by name.
        state: Where the state is kept.
        shared: With which other engines sequences are shared, if with any.
        plugins: Which installed plugins are loaded.
        engine: How the engine works.
        events: Which fields of an event have a meaning for the kernel.
        time: Which event times are believed.
        origins: Dotted key to where its value comes from; what is absent is a default.
    """

    rules: RulesConfig = attrs.field(factory=RulesConfig)
    sources: Mapping[str, SourceConfig] = _NOTHING  # type: ignore[assignment]
    outputs: Mapping[str, SectionConfig] = _NOTHING  # type: ignore[assignment]
    actions: Mapping[str, ActionConfig] = _NOTHING  # type: ignore[assignment]
    compilers: Mapping[str, Mapping[str, object]] = attrs.field(
        default=_NOTHING,
        repr=False,
    )
    evaluators: Mapping[str, Mapping[str, object]] = attrs.field(
        default=_NOTHING,
        repr=False,
    )
    pattern_engines: Mapping[str, Mapping[str, object]] = attrs.field(
        default=_NOTHING,
        repr=False,
    )
    state: StateConfig = attrs.field(factory=StateConfig)
    shared: SharedConfig = attrs.field(factory=SharedConfig)
    plugins: PluginsConfig = attrs.field(factory=PluginsConfig)
    engine: EngineConfig = attrs.field(factory=EngineConfig)
    events: EventSettings = attrs.field(factory=EventSettings)
    time: TimeSettings = attrs.field(factory=TimeSettings)
    origins: Mapping[str, str] = attrs.field(default=_NOTHING, eq=False, repr=False)

    @classmethod
    def from_mapping(
        cls, tables: Mapping[str, object], origins: Mapping[str, str] | None = None
    ) -> Self:
        """Check plain data, as a TOML file has it, and return it as a configuration.

        Raises:
            ConfigurationError: something is wrong; its `errors` are all that is.
        """
        reader = SettingsReader()
        known = [attribute.name for attribute in attrs.fields(cls) if attribute.name != "origins"]
        reader.refuse_unknown(tables, known, "")
        sections: dict[str, object] = {
            "rules": reader.section(RulesConfig, tables.get("rules", {}), "rules"),
            "plugins": reader.section(PluginsConfig, tables.get("plugins", {}), "plugins"),
            "engine": reader.section(EngineConfig, tables.get("engine", {}), "engine"),
            "events": reader.section(EventSettings, tables.get("events", {}), "events"),
            "time": reader.section(TimeSettings, tables.get("time", {}), "time"),
            "shared": reader.section(SharedConfig, tables.get("shared", {}), "shared"),
            "state": _plugin_section(reader, StateConfig, tables.get("state", {}), "state"),
            "sources": _instances(reader, SourceConfig, tables, "sources"),
            "outputs": _instances(reader, SectionConfig, tables, "outputs"),
            "actions": _instances(reader, ActionConfig, tables, "actions"),
        }
        for name in ("compilers", "evaluators", "pattern_engines"):
            named = reader.table(tables.get(name, {}), name)
            sections[name] = {
                key: reader.table(options, f"{name}.{key}") for key, options in named.items()
            }
        reader.finish()
        return cls(**sections, origins=origins or {})  # type: ignore[arg-type]


@attrs.frozen
class Setting:
    """One value that comes from elsewhere than the file.

    Attributes:
        path: The parts of its dotted key.
        value: Plain data, or `UntypedText` where the type of its key decides.
        origin: What to call the place it comes from, such as `--runtime`.
    """

    path: tuple[str, ...]
    value: object = attrs.field(repr=False)
    origin: str

    @classmethod
    def parse(cls, text: str, origin: str) -> Self:
        """Read `sources.audit.path=events.ndjson`.

        Raises:
            ConfigurationError: there is no `=`, or the key is not section and key.
        """
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or len(path) < 2 or not all(path):
            raise ConfigurationError(f"{origin}: expected `section.key=value`, not `{key}`")
        return cls(path, UntypedText(value), f"{origin} {key.strip()}")


def load_configuration(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    settings: Iterable[Setting] = (),
) -> Configuration:
    """Read a configuration file, and lay the environment and `settings` over it.

    Args:
        path: The file; without it there are only defaults and what lies over them.
        environment: Such as `os.environ`; see `environment_settings`.
        settings: What the command line says.

    Raises:
        ConfigurationError: the file cannot be read, or something is wrong; its
            `errors` are all that is.
    """
    tables = read_tables(path) if path is not None else {}
    origins = {key: str(path) for key in _keys(tables)}
    errors: list[ConfigurationError] = []
    for setting in (*environment_settings(environment or {}), *settings):
        try:
            _place(tables, setting)
        except ConfigurationError as error:
            errors.append(error)
        origins[".".join(setting.path)] = setting.origin
    try:
        configuration = Configuration.from_mapping(tables, origins)
    except ConfigurationError as error:
        errors.append(error)
    if errors:
        raise as_error(errors)
    return configuration


def read_tables(path: Path) -> dict[str, object]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(_content(path).decode("utf-8"))
    except OSError as error:
        problem = f"{path}: cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        problem = f"{path}: is not UTF-8 (byte {error.start})"
    except (ValueError, RecursionError) as error:
        problem = f"{path}: is not valid TOML: {error or 'nested too deeply'}"
    raise ConfigurationError(problem)


def _content(path: Path) -> bytes:
    """Return what is in a file, if it is one and of a size that a person could have written."""
    # Without O_NONBLOCK, opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigurationError(f"{path}: is not a file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ConfigurationError(f"{path}: is larger than {_LARGEST_FILE} bytes")
    return content


def environment_settings(environment: Mapping[str, str]) -> list[Setting]:
    """Return the settings in environment variables, sorted by name.

    `KESTREL_ENGINE__BATCH_SIZE` is `engine.batch_size`: two underscores stand for
    the dot, and the name is lower case. Variables without two underscores are no
    settings. Values are read as the type of their key; where that is no text,
    as TOML (`["a", "b"]`).
    """
    found = []
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            found.append(Setting(path, UntypedText(environment[name]), f"environment {name}"))
    return found


def _place(tables: dict[str, object], setting: Setting) -> None:
    table = tables
    for depth, part in enumerate(setting.path[:-1]):
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            problem = f"is no table, so that {setting.origin} cannot set a key in it"
            raise ConfigurationError(problem, path=".".join(setting.path[: depth + 1]))
        table = inner
    table[setting.path[-1]] = setting.value


def _keys(tables: Mapping[str, object]) -> Iterable[str]:
    """Yield the dotted keys of a file, down to the keys of one plugin instance."""
    for section, value in tables.items():
        for key, inner in value.items() if isinstance(value, dict) else ():
            if isinstance(inner, dict):
                yield from (f"{section}.{key}.{name}" for name in inner)
            else:
                yield f"{section}.{key}"


def _instances(
    reader: SettingsReader,
    config_class: type[SectionConfig],
    tables: Mapping[str, object],
    name: str,
) -> dict[str, object]:
    instances: dict[str, object] = {}
    for key, table in reader.table(tables.get(name, {}), name).items():
        path = f"{name}.{key}"
        if not _INSTANCE_NAME.fullmatch(key):
            reader.report("a name has up to 64 letters, digits, `-` and `_`", path)
        instances[key] = _plugin_section(reader, config_class, table, path)
    return instances


def _plugin_section(
    reader: SettingsReader, config_class: type[SectionConfig], value: object, path: str
) -> object:
    """Read the keys that the kernel knows, and keep the others as they are."""
    table = reader.table(value, path)
    own = {attribute.name for attribute in attrs.fields(config_class)} - {"options"}
    known: dict[str, object] = {key: inner for key, inner in table.items() if key in own}
    known["options"] = {key: inner for key, inner in table.items() if key not in own}
    return reader.section(config_class, known, path)
