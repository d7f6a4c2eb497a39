"""Measurements in processes of their own: nothing is warm, and no memory shared, by accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

_ROOT: Final = Path(__file__).parents[1]
ResultT = TypeVar("ResultT")


class ChildError(Exception):
    """A process that measures has failed."""


def measured_by(
    module: str,
    arguments: Sequence[str],
    result: type[ResultT],
    *,
    environment: Mapping[str, str] | None = None,
    python: str = sys.executable,
    given: bytes = b"",
) -> ResultT:
    """Run a module of this package in a process, and return what it printed as JSON.

    Args:
        module: Its name in the package; for another `python`, which has no Kestrel, its file is
            run alone.
        arguments: Its command line.
        result: What it prints.
        environment: Variables to set besides those that are set here.
        python: What runs it.
        given: Its standard input.

    Raises:
        ChildError: it ended with an error, or printed something else.
    """
    command = [python, "-m", f"benchmarks.{module}", *arguments]
    if python != sys.executable:
        command = [python, str(Path(__file__).with_name(f"{module}.py")), *arguments]
    finished = subprocess.run(
        command,
        input=given,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if finished.returncode != 0:
        raise ChildError(f"`{' '.join(command[1:])}` ended with {finished.returncode}")
    try:
        return msgspec.json.decode(finished.stdout, type=result)
    except msgspec.MsgspecError as error:
        raise ChildError(f"`{' '.join(command[1:])}` printed something else: {error}") from error


def print_result(result: object) -> None:
    """Print what a process has measured, for `measured_by`."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(result)))


def note(text: str) -> None:
    """Say how far the measurements are."""
    print(text, file=sys.stderr, flush=True)
