from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kestrel_framework.cli import signals
from kestrel_framework.cli.signals import on_interrupt


def test_the_first_signal_asks_and_what_follows_at_once_is_the_same_request() -> None:
    asked: list[None] = []
    before = signal.getsignal(signal.SIGTERM)
    with on_interrupt(lambda: asked.append(None)):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert len(asked) == 1
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_later_signal_ends_what_hangs(number: signal.Signals) -> None:
    program = (
        "import os, sys, time\n"
        "from kestrel_framework.cli.signals import on_interrupt\n"
        "with on_interrupt(lambda: print('asked', flush=True)):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        f"    time.sleep({signals._SAME_REQUEST_SECONDS + 0.1})\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    time.sleep(30)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout) == (-number, "asked\n")
