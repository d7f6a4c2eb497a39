"""What `make demo` runs: the example rules over a recorded attack, and what to try next.

Everything it does is one command of `kestrel`, which it shows first. Run from anywhere.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KESTREL = Path(sys.executable).with_name("kestrel")
RULES = "examples/rules/linux-behaviour"
CAPTURE = "examples/captures/rehearsal.ndjson.gz"
TABLE = ("--set", "outputs.console.type=console", "--set", "outputs.console.form=table")
DEMO = ("run", "--rules", RULES, "--input", CAPTURE, *TABLE)

NEXT = f"""
That was a capture. Next, watch a host live: in one terminal

    sudo {{kestrel}} run --source proc-events --rules {RULES}

and in another the rehearsal that the capture was made of (harmless, in memory, loopback only)

    sudo examples/rehearsal/rehearsal.sh

Then try the same rules on ordinary work, which raises no alert,

    {{kestrel}} run --rules {RULES} --input examples/captures/ordinary-work.ndjson.gz

and search the capture yourself:

    {{kestrel}} query --input {CAPTURE} --fields process.command_line \\
        'process where event.action == "exec" and process.parent.name == "nginx"'
"""


def main() -> int:
    """Show the command, run it, and say what to try next; return its exit code."""
    kestrel = KESTREL.relative_to(ROOT) if KESTREL.is_relative_to(ROOT) else KESTREL
    sys.stdout.write(f"$ {shlex.join([str(kestrel), *DEMO])}\n\n")
    sys.stdout.flush()
    code = subprocess.run([KESTREL, *DEMO], cwd=ROOT, check=False).returncode  # noqa: S603
    if code == 0:
        sys.stdout.write(NEXT.format(kestrel=kestrel))
    return code


if __name__ == "__main__":
    sys.exit(main())
