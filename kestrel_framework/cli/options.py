"""Options that several subcommands have, and options that take several values after one name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kestrel_framework.config import Configuration, Setting, load_configuration

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

CONFIG_VARIABLE: Final = "KESTREL_CONFIG"


class ListOption(click.Option):
    """An option that is given again for each value, or once with several values after it.

    `--rules a b` is `--rules a --rules b`. It belongs to a `ListCommand`.
    """

    def __init__(self, names: Sequence[str], **settings: Any) -> None:
        super().__init__(names, **(settings | {"multiple": True}))


class ListCommand(click.Command):
    """A command with `ListOption`s."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._expanded(args))

    def _expanded(self, args: list[str]) -> list[str]:
        """Write each further value of a list option as an option of its own.

        A command with an argument takes the last of the values for it, if nothing
        else can be it: `--input a b QUERY`.
        """
        lists, others = self._option_names()
        needs_argument = any(isinstance(param, click.Argument) for param in self.params)
        expanded: list[str] = []
        last_further_value: int | None = None
        current: str | None = None
        waiting = list(args)
        while waiting:
            arg = waiting.pop(0)
            name = arg.partition("=")[0]
            if arg == "--":
                expanded += [arg, *waiting]
                needs_argument = needs_argument and not waiting
                break
            if not arg.startswith("-") or arg == "-":
                if current is None:
                    needs_argument = False
                    expanded.append(arg)
                else:
                    last_further_value = len(expanded)
                    expanded += [current, arg]
                continue
            current = name if name in lists else None
            expanded.append(arg)
            takes_value = (name in lists or name in others) and "=" not in arg
            if takes_value and waiting:
                expanded.append(waiting.pop(0))
        if needs_argument and last_further_value is not None:
            del expanded[last_further_value]
        return expanded

    def _option_names(self) -> tuple[set[str], set[str]]:
        """Return the names of list options, and of other options that take a value."""
        lists: set[str] = set()
        others: set[str] = set()
        for param in self.params:
            if isinstance(param, ListOption):
                lists.update(param.opts)
            elif isinstance(param, click.Option) and not param.is_flag:
                others.update(param.opts)
        return lists, others


def configuration_options(function: FunctionT) -> FunctionT:
    """Add `--config` and `--set`."""
    for option in (
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set any key of the configuration, such as `sources.audit.path=FILE`. "
            "May be repeated.",
        ),
        click.option(
            "--config",
            "config_file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help=f"The configuration file. Default: ${CONFIG_VARIABLE}, else none.",
        ),
    ):
        function = option(function)
    return function


format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or one JSON object a line.",
)


def read_configuration(
    config_file: Path | None,
    assignments: Iterable[str],
    options: Mapping[str, tuple[str, object]] | None = None,
) -> Configuration:
    """Return the configuration under a command's options.

    Args:
        config_file: What `--config` says.
        assignments: What `--set` says.
        options: Dotted key to the option that sets it and its value; None is not set.

    Raises:
        ConfigurationError: it is not right.
    """
    if config_file is None and os.environ.get(CONFIG_VARIABLE):
        config_file = Path(os.environ[CONFIG_VARIABLE])
    settings = [Setting.parse(assignment, "--set") for assignment in assignments]
    for key, (option, value) in (options or {}).items():
        if value is not None:
            settings.append(Setting(tuple(key.split(".")), value, option))
    return load_configuration(config_file, os.environ, settings)
