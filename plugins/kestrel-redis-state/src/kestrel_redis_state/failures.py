"""What an answer of a server that is an error means, and what to do about it."""

from __future__ import annotations

from typing import Final

from kestrel_framework.errors import StateError

_LONGEST_ANSWER: Final = 300

_REMEDIES: Final = {
    "NOAUTH": "it wants a password: set `password_file`",
    "WRONGPASS": "it does not know this user and password: look at `username` and the password",
    "NOPERM": "its access list forbids this to the user: allow the namespace's keys and the "
    "commands that the README of kestrel-redis-state lists",
    "MOVED": "it is part of a cluster that has the namespace on another server: name that one",
    "ASK": "it is part of a cluster that is moving the namespace to another server",
    "CROSSSLOT": "it is part of a cluster, and does not know hash tags",
}
_TRANSIENT_REMEDIES: Final = {
    "OOM": "its memory is full: raise `maxmemory`, or remove what is not needed",
    "LOADING": "it is loading its data",
    "BUSY": "it is busy with a script; `SCRIPT KILL` ends one that has written nothing",
    "MASTERDOWN": "it is a replica that has lost its master",
    "READONLY": "it is a read-only replica: name its master, or promote it",
    "MISCONF": "it cannot write its data to its disk: look there",
    "NOREPLICAS": "it has too few replicas to accept a write",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its cluster is moving the namespace",
}


class ServerAway(StateError):  # noqa: N818 - a state of the world, as a conflict is
    """The server could not be reached, or did not answer.

    Attributes:
        was_sent: Whether the command may have reached it, and been carried out.
    """

    def __init__(self, problem: str, *, was_sent: bool) -> None:
        super().__init__(problem, transient=True)
        self.was_sent = was_sent


def refused_by_server(place: str, answer: str) -> StateError:
    """Return the error for an answer that is one: nothing was changed."""
    code = answer.partition(" ")[0]
    shown = answer if len(answer) <= _LONGEST_ANSWER else answer[:_LONGEST_ANSWER] + "..."
    if code in _TRANSIENT_REMEDIES:
        problem = f"{place}: {_TRANSIENT_REMEDIES[code]} ({shown})"
        return StateError(problem, transient=True)
    if "SCRIPT KILL" in answer or "Script killed" in answer:
        return StateError(f"{place}: somebody ended the script ({shown})", transient=True)
    if "max number of clients" in answer:
        return StateError(f"{place}: it has too many clients ({shown})", transient=True)
    if "unexpected symbol near '#'" in answer:
        return StateError(f"{place}: Redis 7 or newer is needed ({shown})")
    if "AUTH" in answer and "called without any password" in answer:
        remedy = "its default user has no password: set `username`, or no password"
        return StateError(f"{place}: {remedy} ({shown})")
    if "unauthenticated" in answer:
        return StateError(f"{place}: {_REMEDIES['NOAUTH']} ({shown})")
    remedy = f"{_REMEDIES[code]} ({shown})" if code in _REMEDIES else shown
    return StateError(f"{place}: {remedy}")
