"""The command `kestrel`. A subcommand is imported when it is called, so that starting is quick."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Final, TextIO

import click

from kestrel_framework.cli.exit_codes import ExitCode, code_for
from kestrel_framework.cli.messages import print_error

_INTERRUPTED: Final = 128 + signal.SIGINT
_SUBCOMMANDS: Final = {
    "check": "Compile rules and run nothing.",
    "completion": "Print the completion script for a shell.",
    "plugins": "List the installed plugins and what they offer.",
    "query": "Search files of events.",
    "record": "Write a live source to a capture file.",
    "run": "Match events against rules, and write alerts.",
}


class _LazyGroup(click.Group):
    """Knows its subcommands by name, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        module = importlib.import_module(f"kestrel_framework.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        # Here, because click itself makes a failure of a reader that goes away.
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _abandon_stdout()
            return ExitCode.FINE

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_SUBCOMMANDS.items()))


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
