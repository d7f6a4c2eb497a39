"""The `eql` package in a virtual environment of its own, which is made when it is missing."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

PEER: Final = "eql==1.0.1"
_FOLDER: Final = Path(__file__).parents[1] / "build" / "peer-eql"


class PeerMissingError(Exception):
    """The package cannot be installed."""


def peer_python() -> str:
    """Return the Python that has the peer; its environment is made if need be.

    Raises:
        PeerMissingError: the environment cannot be made, or the package not be installed.
    """
    python = _FOLDER / "bin" / "python"
    ready = _FOLDER / PEER
    try:
        if not ready.exists():
            venv.create(_FOLDER, with_pip=True, clear=True)
            install = [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            subprocess.run([*install, PEER], check=True, stdout=sys.stderr, timeout=300)
            ready.touch()
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissingError(f"the `eql` package cannot be installed: {error}") from error
    return str(python)
