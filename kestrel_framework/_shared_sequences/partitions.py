"""Which partition a join key belongs to: the same on every host."""

from __future__ import annotations

import hashlib
import json

from kestrel_framework._pipeline.sequence_tracker.keys import Key, key_values


def partition_of(key: Key, partitions: int) -> int:
    """Return the partition of a key, from 0.

    It depends on the values alone, not on the rule. Keys that are equal are in the same one.
    """
    text = json.dumps(key_values(key), ensure_ascii=True)
    digest = hashlib.blake2b(text.encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions
