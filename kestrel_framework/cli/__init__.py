"""The command `kestrel`. A subcommand is imported when it is called, so that starting is quick."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Final, TextIO

import click

from kestrel_framework.cli.exit_codes import ExitCode, code_for
from kestrel_framework.cli.messages import note, print_error
from kestrel_framework.errors import ConfigurationError, KestrelError, PluginError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_INTERRUPTED: Final = 128 + signal.SIGINT
_PLUGIN: Final = "kestrel.plugin"
_FOR_PEOPLE: Final = (
    click.ClickException,
    click.exceptions.Exit,
    click.Abort,
    KestrelError,
    ExceptionGroup,
    OSError,
)
_SUBCOMMANDS: Final = {
    "bench": "Measure how fast rules run on events.",
    "check": "Compile rules and run nothing.",
    "completion": "Print the completion script for a shell.",
    "debug": "Look inside, to understand what is slow.",
    "explain": "Say why rules find something in events, or nothing.",
    "plugins": "List the installed plugins and what they offer.",
    "query": "Search files of events.",
    "record": "Write a live source to a capture file.",
    "run": "Match events against rules, and write alerts.",
}
OWN_COMMANDS: Final = tuple(_SUBCOMMANDS)
"""The names of the commands that need no plugin."""


class _LazyGroup(click.Group):
    """Knows its subcommands by name, and imports the one that is called.

    Plugins are asked for theirs only for the sake of a list, or of a name that is not here.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._summaries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _SUBCOMMANDS:
            module = importlib.import_module(f"kestrel_framework.cli.{cmd_name}")
            command: click.Command = module.command
            return command
        from kestrel_framework.cli.plugin_commands import load_command, plugin_commands

        found = plugin_commands(OWN_COMMANDS).resolve(cmd_name)
        ctx.meta[_PLUGIN] = found.plugin
        return load_command(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        try:
            return name, self.get_command(ctx, name), args[1:]
        except ConfigurationError as error:
            if ctx.resilient_parsing:
                return None, None, args[1:]
            raise click.UsageError(error.problem, ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=summary)
            for name, summary in sorted(self._summaries().items())
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        # Here, because click itself makes a failure of a reader that goes away.
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _abandon_stdout()
            return ExitCode.FINE
        except _FOR_PEOPLE:
            raise
        except Exception as error:
            if _PLUGIN not in ctx.meta:
                raise
            note("".join(traceback.format_exception(error)).rstrip())
            problem = f"`{ctx.invoked_subcommand}` failed: {type(error).__name__}: {error}"
            raise PluginError(ctx.meta[_PLUGIN], problem) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._summaries().items()))

    def _summaries(self) -> dict[str, str]:
        """Return what each command does. Whatever is wrong with plugins, ours are there."""
        from kestrel_framework.cli.plugin_commands import plugin_commands, shown_names

        try:
            commands = plugin_commands(OWN_COMMANDS)
        except KestrelError as error:
            note(f"kestrel: the commands of plugins are not listed: {error}")
            return _SUBCOMMANDS
        for plugin, problem in commands.broken.items():
            note(f"kestrel: commands of the plugin `{plugin}` are not listed: {problem}")
        return _SUBCOMMANDS | {name: one.offer.summary for name, one in shown_names(commands)}


def _print_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"kestrel {version('kestrel-framework')}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def kestrel() -> None:
    """Detect attacks in endpoint events.

    Exit codes: 0 fine; 1 the thing checked is not fine; 2 usage or
    configuration; 3 an input or an output failed.
    """


def main() -> None:
    """Run the command line and exit."""
    _occupy_standard_streams()
    code = _run()
    try:
        sys.stdout.flush()
    except OSError:
        _abandon_stdout()  # the error is in the code already
    sys.exit(code)


def _occupy_standard_streams() -> None:
    """Give each standard stream a descriptor, so that no file opened later is taken for one.

    A process can be started with any of them closed. Reading such an input or writing
    such an output goes on being an error; what nobody can read on stderr goes nowhere.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = _text_stream(1)
    if sys.stderr is None:
        sys.stderr = _text_stream(2)


def _text_stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _run() -> int:
    try:
        code = kestrel.main(standalone_mode=False, prog_name="kestrel")
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.FINE
    except Exception as error:  # noqa: BLE001 - the last place where a fault can become a message
        print_error(error)
        return code_for(error)


def _abandon_stdout() -> None:
    """Let what is still buffered go nowhere, so that the interpreter ends without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
