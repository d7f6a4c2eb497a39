"""The nursery: a process with one thread, from which workers can be forked at any time.

It is forked before the main process has threads: a process forked from one with threads can
find locks that nobody will ever open.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.matcher_pool import frames
from kestrel_framework._pipeline.matcher_pool.worker import LONGEST_MESSAGE, serve
from kestrel_framework.rule import Rollout, Rule, RuleMetadata, RuleSet
from kestrel_framework.rule_encoding import decode_body, encode_body

_IGNORED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STANDARD_ERROR: Final = 2
_PR_SET_PDEATHSIG: Final = 1
_WAITING_STEP: Final = 0.005
_ORDER_PATIENCE: Final = 5.0

CompileMatcher = Callable[[RuleSet], EventMatcher]


class _Order(msgspec.Struct, frozen=True):
    """What the main process wants of the nursery.

    Attributes:
        generation: Which rules.
        kill: End this worker; nothing else.
        bodies: Compile these bodies of rules, for later.
        draining: Which of these rules drain.
    """

    generation: int
    kill: int | None = None
    bodies: list[bytes] | None = None
    draining: list[int] = []


_orders: Final = msgspec.msgpack.Decoder(_Order)


class Nursery:
    """The nursery, seen from the main process.

    Args:
        matcher: The matcher of generation 0.
        compile_matcher: Returns that of other rules.

    Raises:
        OSError: the system has no room for another process.
    """

    def __init__(self, matcher: EventMatcher, compile_matcher: CompileMatcher) -> None:
        self._connection, theirs = frames.connected_pair()
        self._connection.setblocking(False)
        self._sending = threading.Lock()
        with theirs, _signals_held():
            self._pid = os.fork()
            if self._pid == 0:
                _be_nursery(theirs, matcher, compile_matcher)
        self._end = weakref.finalize(self, _end_child, self._connection, self._pid, os.getpid())

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._pid

    def start_worker(self, generation: int) -> socket.socket:
        """Return the connection to a new worker; older generations are forgotten.

        Never waits. Where no worker can be started, the connection ends at once.

        Raises:
            OSError: the nursery is gone.
        """
        ours, theirs = frames.connected_pair()
        with theirs:
            try:
                self._send(_Order(generation), theirs.fileno())
            except BlockingIOError:
                pass  # it has not begun with earlier orders: nobody will have the other end
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        return ours

    def kill(self, pid: int) -> None:
        """End a worker at once. Never waits.

        Raises:
            OSError: the nursery is gone.
        """
        with contextlib.suppress(BlockingIOError):  # if it goes on, then until its connection ends
            self._send(_Order(0, kill=pid))

    def prepare(self, generation: int, rules: RuleSet) -> None:
        """Have other rules compiled, for workers to be started later. From any thread.

        Waits some seconds where the nursery has not begun with earlier orders.

        Raises:
            OSError: the nursery is gone, or does not take the order.
            ValueError: the rules cannot be sent.
        """
        bodies = [encode_body(rule.body) for rule in rules]
        draining = [number for number, rule in enumerate(rules) if rule.rollout.draining]
        order = _Order(generation, bodies=bodies, draining=draining)
        deadline = time.monotonic() + _ORDER_PATIENCE
        while True:
            try:
                return self._send(order)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_WAITING_STEP)

    def close(self, timeout: float) -> None:
        """End the nursery and its workers, at once after `timeout` seconds."""
        self._connection.close()
        deadline = time.monotonic() + timeout
        while self._end.alive and time.monotonic() < deadline:
            if _has_ended(self._pid):
                self._end.detach()
                return
            time.sleep(_WAITING_STEP)
        self._end()

    def _send(self, order: _Order, descriptor: int | None = None) -> None:
        message = msgspec.msgpack.encode(order)
        with self._sending:
            frames.send(self._connection, message, descriptor)


def _end_child(connection: socket.socket, pid: int, parent: int) -> None:
    """End the nursery, and with it its workers, at once."""
    if os.getpid() != parent:
        return  # in a process forked from the main one: it is not its child
    connection.close()
    if not _has_ended(pid):
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _has_ended(pid: int) -> bool:
    """Say whether a child has ended, and leave nothing of it."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # somebody else has waited for it
        return True


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back signals that a new process is to ignore until it does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_nursery(
    connection: socket.socket, matcher: EventMatcher, compile_matcher: CompileMatcher
) -> NoReturn:
    status = 1
    try:
        _keep_only((connection.fileno(), _STANDARD_ERROR))
        for number in _IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED_SIGNALS)
        gc.freeze()  # nothing of it will become garbage, and looking at it would copy it
        _NurseryLoop(connection, matcher, compile_matcher).run()
        status = 0
    except Exception:  # noqa: BLE001 - nobody else could tell of it
        _tell_error()
    finally:
        os._exit(status)


class _NurseryLoop:
    """What the nursery does."""

    def __init__(
        self, connection: socket.socket, matcher: EventMatcher, compile_matcher: CompileMatcher
    ) -> None:
        self._connection = connection
        self._compile = compile_matcher
        self._matchers = {0: matcher}
        self._current = 0
        self._children: set[int] = set()
        self._orders: deque[tuple[_Order, socket.socket | None]] = deque()

    def run(self) -> None:
        """Follow orders until the main process is gone; then end all workers."""
        try:
            while self._hear():
                self._bury()
                if self._orders:
                    self._follow(*self._orders.popleft())
        except OSError:
            pass  # the main process is gone, in the middle of something
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)
            for pid in self._children:
                os.waitpid(pid, 0)

    def _hear(self) -> bool:
        """Take in the orders that are there, waiting for one if there is nothing to do.

        Compiling may take longer than the main process takes to want other rules: what it does
        not want any more is left out, and the end is heard before anything else is done.
        """
        self._connection.setblocking(not self._orders)
        try:
            while (received := frames.receive(self._connection, LONGEST_MESSAGE)) is not None:
                self._connection.setblocking(False)
                message, descriptor = received
                order = _orders.decode(message)
                if order.kill is not None:
                    self._kill(order.kill)
                else:
                    theirs = None if descriptor is None else socket.socket(fileno=descriptor)
                    self._orders.append((order, theirs))
        except BlockingIOError:
            self._leave_out()
            return True
        return False

    def _leave_out(self) -> None:
        """Forget orders of rules before those that workers are wanted for now."""
        starts = (order.generation for order, connection in self._orders if connection is not None)
        newest = max(starts, default=0)
        stale = [each for each in self._orders if each[0].generation < newest]
        for order, connection in stale:
            self._orders.remove((order, connection))
            if connection is not None:
                connection.close()

    def _kill(self, pid: int) -> None:
        if pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _follow(self, order: _Order, connection: socket.socket | None) -> None:
        if connection is not None:
            with connection:
                self._start(order.generation, connection)
        elif order.bodies is not None:
            self._prepare(order.generation, order.bodies, frozenset(order.draining))

    def _start(self, generation: int, connection: socket.socket) -> None:
        if generation not in self._matchers:
            return
        if generation != self._current:
            self._current = generation
            self._forget_others()
        nursery = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return
        if pid == 0:
            _be_worker(connection, self._matchers[generation], nursery)
        self._children.add(pid)

    def _prepare(self, generation: int, bodies: Sequence[bytes], draining: Container[int]) -> None:
        """Compile rules; where that fails, their workers end at once, and are not asked for."""
        self._forget_others()
        with contextlib.suppress(Exception):
            rules = RuleSet(
                tuple(
                    Rule(
                        RuleMetadata(f"rule-{number}"),
                        decode_body(body),
                        rollout=Rollout(draining=number in draining),
                    )
                    for number, body in enumerate(bodies)
                )
            )
            self._matchers[generation] = self._compile(rules)
        gc.collect()

    def _forget_others(self) -> None:
        """Let go of all matchers but that of the rules in force.

        Part by part: they hold themselves in cycles, and those frozen at the start stay for ever.
        """
        for generation in list(self._matchers):
            if generation != self._current:
                self._matchers.pop(generation).dismantle()

    def _bury(self) -> None:
        """Take note of the workers that have died."""
        for pid in list(self._children):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._children.discard(pid)


def _be_worker(connection: socket.socket, matcher: EventMatcher, nursery: int) -> NoReturn:
    status = 1
    try:
        # Whatever it does, and even if it hangs, it ends with the nursery.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _keep_only((connection.fileno(), _STANDARD_ERROR))
        gc.freeze()
        if os.getppid() == nursery:
            serve(connection, matcher)
        status = 0
    except OSError:
        pass  # the main process is gone
    except Exception:  # noqa: BLE001 - nobody else could tell of it
        _tell_error()
    finally:
        os._exit(status)


def _tell_error() -> None:
    """Write the error to standard error, without locks that another process may have held."""
    with contextlib.suppress(OSError):
        os.write(_STANDARD_ERROR, traceback.format_exc().encode("utf-8", "backslashreplace"))


def _keep_only(kept: Container[int]) -> None:
    """Lead all other descriptors nowhere.

    They are not closed: objects that have them may close them once more, and must then not
    hit another one.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in Path("/proc/self/fd").iterdir():
        descriptor = int(name.name)
        if descriptor not in kept:
            with contextlib.suppress(OSError):
                os.dup2(nowhere, descriptor, inheritable=False)
