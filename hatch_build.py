"""Compiles the native modules into the kernel's wheel, where there is a C compiler.

Without one the wheel is made all the same: matching is slower then, and finds the same.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

_SOURCES: Final = (  # each of the module `_native` in its package
    Path("kestrel_framework/_builtin/pattern_engine/literal_finder.c"),
    Path("kestrel_framework/_pipeline/event_scanner/scanner.c"),
)
_FLAGS: Final = ["-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-Wno-missing-field-initializers"]


class NativeModulesHook(BuildHookInterface):
    """Puts the compiled modules beside their sources, and from there into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; the wheel is for this platform and interpreter if any of it succeeds."""
        for source in _SOURCES:
            try:
                compiled = _compiled(source)
            except (CCompilerError, ExecError, PlatformError) as error:
                print(
                    f"{source} is left out, and matching will be slower: {error}",
                    file=sys.stderr,
                )
                continue
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["artifacts"].append(f"/{compiled.as_posix()}")


def _compiled(source: Path) -> Path:
    """Compile one module, and return its path."""
    extension = Extension(
        ".".join((*source.parent.parts, "_native")),
        [str(source)],
        extra_compile_args=_FLAGS,
        depends=[str(header) for header in sorted(source.parent.glob("*.h"))],
    )
    command = build_ext(Distribution({"name": "kestrel-framework", "ext_modules": [extension]}))
    command.inplace = command.force = True
    with tempfile.TemporaryDirectory() as objects:
        command.build_temp = objects
        command.ensure_finalized()
        command.run()
    return Path(command.get_ext_fullpath(extension.name)).relative_to(Path.cwd())
