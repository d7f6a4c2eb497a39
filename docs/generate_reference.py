"""Write the pages of docs/reference that come from docstrings and tables.

`make docs` writes them; `--check` writes nothing and exits with 1 if a page is not
what it should be.
"""

from __future__ import annotations

import enum
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, get_type_hints

import attrs
import click

import kestrel_framework
from kestrel_framework import (
    _state_interfaces,
    config,
    errors,
    hookspecs,
    interfaces,
    rule_encoding,
)
from kestrel_framework._builtin import plugin as builtin
from kestrel_framework.cli import kestrel
from kestrel_framework.event import EventSettings, TimeSettings
from kestrel_framework.schema import FieldDefinition, SchemaRegistry

FOLDER: Final = Path(__file__).parent / "reference"
_NOTICE: Final = (
    "<!-- Written by docs/generate_reference.py; change the docstrings, then `make docs`. -->"
)
_SECTION: Final = re.compile(r"(Args|Attributes|Returns|Raises|Yields|Example|Examples):")
_SHARED_PREFIXES: Final = {
    "process.parent": "the parent of the process",
    "process.group_leader": "the leader of its process group",
    "process.session_leader": "the leader of its session",
    "process.entry_leader": "the first process of its log-in",
    "process.entry_leader.parent": "what started that log-in",
    "process.parent.group_leader": "the leader of the parent's process group",
    "process.responsible": "the process macOS holds responsible",
    "Effective_process": "the process that is really behind the event",
    "Target.process": "the process that is acted upon",
}


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "python-api.md": _python_api(),
        "hooks-and-interfaces.md": _hooks_and_interfaces(),
        "rule-encoding.md": _rule_encoding(),
        "errors.md": _errors(),
        "schema.md": _schema(),
        "configuration.md": _configuration(),
        "command-line.md": _command_line(),
    }


def _page(title: str, lead: str, sections: Iterable[str]) -> str:
    text = "\n\n".join([_NOTICE, f"# {title}", lead, *sections])
    return re.sub(r"\n{3,}", "\n\n", text) + "\n"


# --- docstrings ------------------------------------------------------------------


def _markdown(docstring: str) -> str:
    """Return a Google docstring as Markdown."""
    lines = inspect.cleandoc(docstring).splitlines()
    blocks: list[str] = []
    index = 0
    while index < len(lines):
        section = _SECTION.fullmatch(lines[index])
        if section is None:
            blocks.append(lines[index])
            index += 1
            continue
        body: list[str] = []
        index += 1
        while index < len(lines) and (not lines[index] or lines[index].startswith(" ")):
            body.append(lines[index])
            index += 1
        blocks += ["", *_section(section[1], textwrap.dedent("\n".join(body)).strip()), ""]
    return "\n".join(blocks).strip().replace(".. versionadded:: ", "Since ")


def _section(name: str, body: str) -> Iterator[str]:
    if name.startswith("Example"):
        yield from ("**Example**", "", "```python", body, "```")
    elif name in ("Returns", "Yields"):
        yield f"**{name}** {body}"
    else:
        yield f"**{name}**"
        yield ""
        for line in body.splitlines():
            entry = re.match(r"([\w*, .\[\]]+): (.*)", line)
            yield f"- `{entry[1]}`: {entry[2]}" if entry and not line.startswith(" ") else line


def _signature(name: str, member: Callable[..., object]) -> str:
    text = str(inspect.signature(member))
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    text = re.sub(r"= (NOTHING|mappingproxy\(\{\}\)|<[^>]*>)", "= ...", text)
    return f"`{name}{text.replace('(self, ', '(').replace('(self)', '()')}`"


def _class(name: str, kind: type, level: str = "##") -> str:
    parts = [f"{level} {name}", _markdown(kind.__doc__ or "")]
    if issubclass(kind, enum.Enum):
        return "\n\n".join([*parts, "Values: " + ", ".join(f"`{item.name}`" for item in kind)])
    if not getattr(kind, "_is_protocol", False) and not issubclass(kind, Exception):
        parts.insert(1, _signature(name, kind).replace(" -> None", ""))
    for member_name, member in vars(kind).items():
        if member_name.startswith("_"):
            continue
        documented = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(member, property):
            parts.append(f"{level}# `{name}.{member_name}`")
            parts.append(_markdown(member.__doc__ or ""))
        elif inspect.isfunction(documented):
            parts.append(f"{level}# `{name}.{member_name}`")
            parts.append(_signature(member_name, getattr(kind, member_name, documented)))
            parts.append(_markdown(documented.__doc__ or ""))
    return "\n\n".join(part for part in parts if part)


def _function(name: str, function: Callable[..., object]) -> str:
    return "\n\n".join(
        [f"## {name}", _signature(name, function), _markdown(function.__doc__ or "")]
    )


# --- pages -------------------------------------------------------------------------


def _documented_elsewhere() -> set[str]:
    return {name for name, _ in _interface_classes()} | {name for name, _ in _error_classes()}


def _python_api() -> str:
    elsewhere = _documented_elsewhere()
    sections = []
    for name in sorted(kestrel_framework.__all__, key=str.lower):
        if name in elsewhere:
            continue
        value = getattr(kestrel_framework, name)
        if inspect.isclass(value):
            sections.append(_class(name, value))
        elif inspect.isfunction(value):
            sections.append(_function(name, value))
        else:
            sections.append(f"## {name}\n\n`{value!r}`" if name.isupper() else f"## {name}")
    lead = (
        "What `from kestrel_framework import ...` offers. Interfaces and their values are in "
        "[hooks and interfaces](hooks-and-interfaces.md), exceptions in [errors](errors.md)."
    )
    return _page("Python API", lead, sections)


def _interface_classes() -> list[tuple[str, type]]:
    return [
        (name, value)
        for name, value in vars(interfaces).items()
        if inspect.isclass(value)
        and value.__module__ in (interfaces.__name__, _state_interfaces.__name__)
    ]


def _hooks_and_interfaces() -> str:
    hooks = [
        "\n\n".join([f"## `{name}`", _signature(name, value), _markdown(value.__doc__ or "")])
        for name, value in vars(hookspecs).items()
        if name.startswith("kestrel_")
    ]
    classes = [_class(name, value) for name, value in _interface_classes()]
    lead = inspect.cleandoc(hookspecs.__doc__ or "")
    introduction = ["# Interfaces", inspect.cleandoc(interfaces.__doc__ or "")]
    return _page("Hooks", lead, [*hooks, *introduction, *classes])


def _rule_encoding() -> str:
    members = {name: getattr(rule_encoding, name) for name in rule_encoding.__all__}
    sections = [_function(name, member) for name, member in members.items() if callable(member)]
    limits = [f"`{name}`: {value:,}" for name, value in members.items() if isinstance(value, int)]
    lead = "What `from kestrel_framework.rule_encoding import ...` offers."
    about = inspect.cleandoc(rule_encoding.__doc__ or "")
    return _page("Rules as bytes", lead, [about, *limits, *sections])


def _error_classes() -> list[tuple[str, type]]:
    return [
        (name, value)
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    ]


def _errors() -> str:
    classes = _error_classes()
    tree: list[str] = []

    def grow(kind: type[Exception], depth: int) -> None:
        tree.append(f"{'    ' * depth}{kind.__name__}")
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                grow(child, depth + 1)

    grow(errors.KestrelError, 0)
    sections = ["\n".join(["```text", *tree, "```"])]
    sections += [_class(name, value) for name, value in classes]
    return _page("Errors", "Everything Kestrel raises on purpose, and what it tells.", sections)


def _schema() -> str:
    registry = SchemaRegistry.ecs()
    types = ["## Event types", "| event type | is also | what it is |\n|---|---|---|"]
    types[1] += "".join(
        f"\n| `{kind.name}` | {', '.join(f'`{p}`' for p in kind.parents)} | {kind.description} |"
        for kind in registry.event_types.values()
    )
    objects: dict[str, list[FieldDefinition]] = {}
    for field in registry.fields.values():
        if not any(field.path.startswith(f"{prefix}.") for prefix in _SHARED_PREFIXES):
            objects.setdefault(field.path.split(".")[0], []).append(field)
    sections = [
        *types,
        "## Process objects",
        "Fields of `process` also exist under these prefixes, each with those fields that its "
        "events can have:\n\n"
        + "\n".join(f"- `{prefix}.*`: {text}" for prefix, text in _SHARED_PREFIXES.items()),
    ]
    for name in sorted(objects, key=str.lower):
        rows = [f"## `{name}`", "| field | type | |\n|---|---|---|"]
        rows[1] += "".join(
            f"\n| `{field.path}` | {field.type.value if field.type else ''} | {field.description} |"
            for field in objects[name]
        )
        sections += rows
    lead = (
        "The fields and event types that the kernel knows: those of the Elastic Common Schema that "
        "endpoint rules use. Plugins add theirs with `kestrel_schema`. A rule may use a field that "
        "is not listed: that is a warning, and an error under `--strict`."
    )
    return _page("Schema", lead, sections)


def _configuration() -> str:
    tables: dict[str, type] = {
        "rules": config.RulesConfig,
        "sources.NAME": config.SourceConfig,
        "outputs.NAME": config.SectionConfig,
        "actions.NAME": config.ActionConfig,
        "state": config.StateConfig,
        "shared": config.SharedConfig,
        "plugins": config.PluginsConfig,
        "engine": config.EngineConfig,
        "events": EventSettings,
        "time": TimeSettings,
    }
    variables = inspect.cleandoc(config.environment_settings.__doc__ or "").partition("\n\n")[2]
    sections = [f"## Environment variables\n\n{variables}"]
    sections += [_settings(f"[{name}]", kind) for name, kind in tables.items()]
    sections.append(
        "## `[compilers.LANGUAGE]`, `[evaluators.RUNTIME]` and `[pattern_engines.NAME]`\n\n"
        "Options of a rule language, such as `[compilers.eql]`, of a runtime, or of a pattern "
        "engine. Rule languages and runtimes are there without being named; a pattern engine is "
        "made where `engine.pattern_engine` names it. Options of what is not installed stop the "
        "start-up."
    )
    sections.append("# What the kernel brings\n\nTheir options stand in the table of the instance.")
    offers = {
        "source": builtin.kestrel_event_sources(),
        "output": builtin.kestrel_output_handlers(),
        "action": builtin.kestrel_action_executors(),
        "state": builtin.kestrel_state_stores(),
    }
    for what, named in offers.items():
        sections += [_settings(f"{what} {name}", offer.config) for name, offer in named.items()]
    return _page("Configuration", inspect.cleandoc(config.__doc__ or ""), sections)


def _command_line() -> str:
    lead = (
        "`kestrel eql` comes with the plugin kestrel-eql, the other commands with the kernel. "
        "Results go to standard output, everything else to standard error. With `--format json` "
        "there is one JSON object a line on standard output and nothing else. Colour and progress "
        "appear only where standard error is a terminal."
    )
    context = kestrel.make_context("kestrel", [], resilient_parsing=True)
    sections = [_help_text(kestrel)]
    for name in kestrel.list_commands(context):
        command = kestrel.get_command(context, name)
        if command is not None:
            sections += _commands(command, click.Context(command, context, name))
    return _page("Command line", lead, sections)


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield a section for a command, or one for each command of a group."""
    if not isinstance(command, click.Group):
        yield _command(command, context)
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None:
            yield from _commands(inner, click.Context(inner, context, name))


def _command(command: click.Command, context: click.Context) -> str:
    usage = (
        f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    )
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            cells = [f"`{record[0]}`", " ".join(record[1].split())]
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    table = "\n".join(["| option | |", "|---|---|", *rows])
    return "\n\n".join([f"## `{context.command_path}`", usage, _help_text(command), table])


def _help_text(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _settings(title: str, kind: type) -> str:
    hints = get_type_hints(kind)
    described = _attribute_texts(kind)
    rows = []
    for attribute in attrs.fields(kind):
        name = attribute.name
        if name != "options":
            cells = [f"`{name}`", config.type_name(hints[name]), _default(attribute.default)]
            cells.append(attribute.metadata.get("help") or described.get(name, ""))
            rows.append(f"| {' | '.join(cells)} |")
    lead = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
    table = "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows])
    return f"## `{title}`\n\n{lead}" + (f"\n\n{table}" if rows else "")


def _attribute_texts(kind: type) -> dict[str, str]:
    _, _, listed = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _default(value: object) -> str:
    if value is attrs.NOTHING:
        return "required"
    if isinstance(value, enum.Enum):
        value = value.value
    plain = isinstance(value, str | int | float) and value != ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if plain else ""


def main() -> int:
    """Write the pages, or compare them; return the exit code."""
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv[1:]:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv[1:]:
        print(f"not up to date, run `make docs`: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
