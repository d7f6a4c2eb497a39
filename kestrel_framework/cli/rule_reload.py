"""SIGHUP as a request to read the rules again."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kestrel_framework._assembly import without_refused
from kestrel_framework.cli.messages import note, note_rule_errors, print_error
from kestrel_framework.config import Configuration
from kestrel_framework.engine import Engine
from kestrel_framework.errors import KestrelError, RuleError
from kestrel_framework.rule import LoadReport


class HangUps:
    """The SIGHUPs that came: requests to read the rules again, kept until somebody does.

    Where the process had a terminal and has none any more, the terminal hung up: nobody asked for
    rules, and the process is to stop.
    """

    def __init__(self) -> None:
        # May be put into from a signal handler.
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._had_terminal = _has_terminal()

    def hear(self) -> None:
        """Take note of one; from a signal handler."""
        self._requests.put(True)

    @contextmanager
    def reloading(self, engine: Engine, configuration: Configuration) -> Iterator[None]:
        """Have the engine go on with the rules as they are read then, within the block."""
        threading.Thread(
            target=self._serve, args=(engine, configuration), name="rule reload", daemon=True
        ).start()
        try:
            yield
        finally:
            self._requests.put(False)

    def _serve(self, engine: Engine, configuration: Configuration) -> None:
        while self._requests.get():
            if self._had_terminal and not _has_terminal():
                engine.stop()
                return
            _reload(engine, configuration)


def _reload(engine: Engine, configuration: Configuration) -> None:
    """Read the rules again, have them put in force, and say what is wrong with them."""
    try:
        report = engine.load_rules()
        note_rule_errors(report)
        if configuration.rules.paths and not report.rules:
            raise KestrelError("no rule is left to run")
        _replace(engine, report, strict=configuration.rules.strict)
    except Exception as error:  # noqa: BLE001 - whatever it is, the rules so far go on
        print_error(error)
        note("kestrel: the rules are as before")


def _replace(engine: Engine, report: LoadReport, *, strict: bool) -> None:
    """Have rules put in force, without those that their runtimes refuse unless it is strict.

    The engine says in the log what that did.
    """
    while True:
        try:
            engine.replace_rules(report).result()
        except RuleError as error:
            kept = None if strict else without_refused(report, error)
            if kept is None:
                raise
            print_error(error)
            report = kept
        else:
            return


def _has_terminal() -> bool:
    """Say whether the process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
