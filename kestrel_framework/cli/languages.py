"""The rule languages that are installed, ready to compile."""

from __future__ import annotations

from kestrel_framework._plugins.registry import PluginRegistry
from kestrel_framework.cli.messages import note
from kestrel_framework.config import Configuration
from kestrel_framework.errors import ConfigurationError, KestrelError
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


def all_compilers(registry: PluginRegistry, configuration: Configuration) -> list[RuleCompiler]:
    """Return a compiler for each language; one that cannot be made is noted, and left out.

    Raises:
        ConfigurationError: a language that the configuration names cannot be made.
    """
    compilers = []
    for language in registry.compilers.names():
        try:
            compilers.append(compiler_for(registry, configuration, language))
        except KestrelError as error:
            if language in configuration.compilers:
                raise
            note(f"kestrel: warning: {error}")
    unknown = [name for name in configuration.compilers if name not in registry.compilers]
    for name in unknown:
        registry.compilers.resolve(name, f"compilers.{name}")
    return compilers


def compiler_for(
    registry: PluginRegistry, configuration: Configuration, language: str
) -> RuleCompiler:
    """Return the compiler for a language.

    Raises:
        ConfigurationError: nobody compiles it, or its options are wrong.
        PluginError: the plugin failed.
    """
    if not registry.compilers.names():
        problem = f"no installed plugin compiles `{language}`; install kestrel-{language}"
        raise ConfigurationError(problem)
    offering = registry.compilers.resolve(language)
    options = configuration.compilers.get(language, {})
    return offering.create(options, path=f"compilers.{language}")
