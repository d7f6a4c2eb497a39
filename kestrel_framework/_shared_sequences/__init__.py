"""Sequences that several engines feed: each range of keys is followed by one of them.

An engine is a **member**. It decides by itself what its events say (`forwarding`), brings the step
matches into the order of time, and puts them into the **inbox** of the partition that their join
key belongs to. Each **partition** has one owner at a time, which merges what all members sent into
one order and follows the sequences (`follower`). Everything is in one state store: what a member
sends is committed with the positions of its sources, what an owner has taken with the sequences
that came of it (`membership`), so that nothing is sent or taken twice.
"""

from __future__ import annotations

from kestrel_framework._shared_sequences.membership import Membership

__all__ = ["Membership"]
