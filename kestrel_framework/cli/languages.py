"""The installed plugins and rule languages, for commands that run no engine."""

from __future__ import annotations

import threading

from kestrel_framework._assembly import Assembler
from kestrel_framework._plugins.registry import PluginRegistry
from kestrel_framework.config import Configuration
from kestrel_framework.errors import ConfigurationError
from kestrel_framework.interfaces import RuleCompiler


def load_registry(configuration: Configuration) -> PluginRegistry:
    """Return the installed plugins that the configuration lets in.

    Raises:
        PluginError: one that the configuration names is broken.
    """
    plugins = configuration.plugins
    registry = PluginRegistry.load(allow=plugins.allow, deny=plugins.deny)
    registry.require_working()
    return registry


def all_compilers(configuration: Configuration, registry: PluginRegistry) -> list[RuleCompiler]:
    """Return a compiler for each installed language.

    Raises:
        ConfigurationError: one that the configuration names is not there, or cannot be made.
    """
    for language in configuration.compilers:
        registry.compilers.resolve(language, f"compilers.{language}")
    return Assembler(configuration, registry, threading.Event()).compilers()


def compiler_for(
    language: str, configuration: Configuration, registry: PluginRegistry
) -> RuleCompiler:
    """Return the compiler of a language.

    Raises:
        ConfigurationError: there is none, or it cannot be made.
    """
    for compiler in all_compilers(configuration, registry):
        if compiler.language == language:
            return compiler
    try:
        registry.compilers.resolve(language)
    except ConfigurationError as error:
        problem = f"{error.problem}; the plugin for it may be called kestrel-{language}"
        raise ConfigurationError(problem) from error
    raise ConfigurationError(f"the compiler for `{language}` cannot be made; see above")
