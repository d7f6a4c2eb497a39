"""The settings of sequences that several engines share; `config` has them with all others."""

from __future__ import annotations

import re
from typing import Final

import attrs
from attrs import validators

from kestrel_framework.errors import ConfigurationError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _names(instance: object, attribute: attrs.Attribute[tuple[str, ...]], names: object) -> None:
    assert isinstance(names, tuple)
    if any(not _NAME.fullmatch(name) for name in names):
        raise ValueError("a member's name has up to 64 letters, digits, `-` and `_`")
    if len(set(names)) < len(names):
        raise ValueError("a member is named twice")


@attrs.frozen
class SharedConfig:
    """Several engines, the members, that follow the same sequences over one state store."""

    member: str = attrs.field(
        default="",
        metadata={
            "help": "The name of this engine among `members`. Without it, sequences are not "
            "shared. No two processes may have the same."
        },
    )
    members: tuple[str, ...] = attrs.field(
        default=(),
        validator=_names,
        metadata={
            "help": "All members, in the same order everywhere. Sequences wait for what each of "
            "them has seen."
        },
    )
    partitions: int = attrs.field(
        default=16,
        validator=[validators.ge(1), validators.le(1_024)],
        metadata={
            "help": "Into how many parts join keys are divided; each is followed by one member. "
            "The same for all members, and for ever."
        },
    )
    lease: float = attrs.field(
        default=15.0,
        validator=[validators.ge(0.1), validators.le(86_400.0)],
        metadata={
            "help": "Seconds without a sign of life after which others take over what a member "
            "follows."
        },
    )
    idle_after: float = attrs.field(
        default=60.0,
        validator=[validators.gt(0.0), validators.le(1e9)],
        metadata={
            "help": "Seconds without a sign of life after which no sequence waits for a member; "
            "what it sends later may be too late."
        },
    )
    interval: float = attrs.field(
        default=0.5,
        validator=[validators.ge(0.01), validators.le(60.0)],
        metadata={"help": "Seconds between commits, at most: so much later others hear of events."},
    )

    def __attrs_post_init__(self) -> None:
        if self.member and self.member not in self.members:
            raise ConfigurationError(f"`{self.member}` is none of `members`", path="member")
        if self.members and not self.member:
            raise ConfigurationError("which of `members` is this engine?", path="member")
