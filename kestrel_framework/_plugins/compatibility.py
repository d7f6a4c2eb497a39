"""Whether a plugin fits this kernel: its API version, its hooks, its objects."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import pluggy

from kestrel_framework import hookspecs
from kestrel_framework.api_version import API_VERSION, ApiVersion
from kestrel_framework.errors import IncompatiblePluginError, PluginError
from kestrel_framework.hookspecs import PROJECT

HOOK_PREFIX: Final = "kestrel_"
_ABSENT: Final = object()


@attrs.frozen
class CheckedPlugin:
    """A plugin that fits: its hooks may be called.

    Attributes:
        name: The plugin's name.
        api: The version it was written for.
        hooks: Its implementations, by hook name.
    """

    name: str
    api: ApiVersion
    hooks: Mapping[str, Callable[[], object]]


def check_plugin(name: str, plugin: object) -> CheckedPlugin:
    """Check a plugin before any of its hooks is called.

    Raises:
        IncompatiblePluginError: it was written for other interfaces, or does not say for which.
        PluginError: it has hooks that do not exist, or that cannot be called.
    """
    api = _api_version(name, plugin)
    # A manager for each plugin: what pluggy finds wrong has then one possible author.
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    known = sorted(hook for hook in vars(hookspecs) if hook.startswith(HOOK_PREFIX))
    try:
        manager.register(plugin, name)
        _refuse_unknown_hooks(name, manager, known)
        return CheckedPlugin(name, api, dict(_hooks(name, plugin, manager, known)))
    except pluggy.PluginValidationError as error:
        raise PluginError(name, " ".join(str(error).split())) from error


def _api_version(name: str, plugin: object) -> ApiVersion:
    stated = getattr(plugin, "KESTREL_API", _ABSENT)
    if stated is _ABSENT:
        raise IncompatiblePluginError(
            name, f'it does not say which API it needs; state `KESTREL_API = "{API_VERSION}"`'
        )
    try:
        version = ApiVersion.parse(stated)
    except ValueError as error:
        raise IncompatiblePluginError(name, f"its KESTREL_API is malformed: {error}") from error
    if not API_VERSION.runs(version):
        remedy = (
            "install a newer kestrel-framework"
            if version > API_VERSION
            else "install a newer version of the plugin"
        )
        raise IncompatiblePluginError(
            name, f"it needs API {version}, and this kernel offers {API_VERSION}; {remedy}"
        )
    return version


def _refuse_unknown_hooks(name: str, manager: pluggy.PluginManager, known: list[str]) -> None:
    for hook_name, caller in vars(manager.hook).items():
        if hook_name in known or not isinstance(caller, pluggy.HookCaller):
            continue
        if all(implementation.optionalhook for implementation in caller.get_hookimpls()):
            continue
        close = difflib.get_close_matches(hook_name, known, n=1)
        remedy = f"did you mean `{close[0]}`?" if close else f"known hooks: {', '.join(known)}"
        raise PluginError(name, f"it has the unknown hook `{hook_name}`; {remedy}")


def _hooks(
    name: str, plugin: object, manager: pluggy.PluginManager, known: list[str]
) -> typing.Iterator[tuple[str, Callable[[], object]]]:
    for hook_name in known:
        implementations = getattr(manager.hook, hook_name).get_hookimpls()
        for implementation in implementations:
            if implementation.hookwrapper or implementation.wrapper:
                raise PluginError(name, f"its hook `{hook_name}` is a wrapper; hooks only return")
            yield hook_name, implementation.function
        if not implementations and callable(_own_attribute(plugin, hook_name)):
            raise PluginError(name, f"its `{hook_name}` is not a hook yet; decorate it: @hookimpl")


def _own_attribute(plugin: object, name: str) -> object:
    """Return an attribute, but not a function that was only imported from the kernel."""
    value = inspect.getattr_static(plugin, name, None)
    return None if getattr(value, "__module__", "") == hookspecs.__name__ else value


def missing_members(candidate: object, interface: type) -> list[str]:
    """Return which members of an interface an object lacks, or has with other arguments.

    Args:
        candidate: An object, or the class that a factory makes instances of: of a class
            only the methods can be checked.
        interface: A Protocol of `kestrel_framework.interfaces`.
    """
    missing = []
    for member in _members(interface):
        wanted = inspect.getattr_static(interface, member, None)
        actual = getattr(candidate, member, _ABSENT)
        if not inspect.isfunction(wanted):
            if actual is _ABSENT and not inspect.isclass(candidate):
                missing.append(f"the attribute `{member}`")
        elif actual is _ABSENT or not callable(actual):
            missing.append(f"the method `{member}`")
        elif not _accepts(actual, wanted, bound=not inspect.isclass(candidate)):
            arguments = ", ".join(list(inspect.signature(wanted).parameters)[1:])
            missing.append(f"a method `{member}` that takes ({arguments})")
    return missing


def class_made_by(factory: object) -> type | None:
    """Return the class whose instances a factory makes, where that is stated."""
    if inspect.isclass(factory):
        return factory
    try:
        made = typing.get_type_hints(factory).get("return")
    except Exception:  # noqa: BLE001 - annotations are the plugin's; the object is checked later
        return None
    return made if inspect.isclass(made) else None


def _members(interface: type) -> list[str]:
    names = {*vars(interface), *inspect.get_annotations(interface)}
    return sorted(name for name in names if not name.startswith("_"))


def _accepts(actual: Callable[..., object], wanted: Callable[..., object], *, bound: bool) -> bool:
    """Say whether `actual` can be called as the interface says."""
    parameters = list(inspect.signature(wanted).parameters.values())
    try:
        signature = inspect.signature(actual)
        signature.bind(*parameters[1 if bound else 0 :])
        # Optional arguments may be left out by the caller, too.
        required = [p for p in parameters if p.default is p.empty]
        signature.bind(*required[1 if bound else 0 :])
    except ValueError:
        return True
    except TypeError:
        return False
    return True
