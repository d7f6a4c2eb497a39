"""What this plugin offers to Kestrel.

Asking which commands there are imports this module; what they do is imported later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kestrel_framework.hookspecs import CommandOffer, CommandOffers, RuleCompilerOffers, hookimpl
from kestrel_framework.interfaces import Offer

if TYPE_CHECKING:
    import click

KESTREL_API = "1.0"


@hookimpl
def kestrel_rule_compilers() -> RuleCompilerOffers:
    """Offer EQL."""
    from kestrel_eql.compiler import EqlCompiler, EqlConfig

    return {"eql": Offer(EqlCompiler.from_config, EqlConfig)}


@hookimpl
def kestrel_cli_commands() -> CommandOffers:
    """Offer `kestrel eql`."""
    return {"eql": CommandOffer(_load_command, "Print and format EQL.")}


def _load_command() -> click.Command:
    from kestrel_eql.commands import command

    return command
