"""Decodes what sources hand over into views: the fields that rules read, and no more."""

from kestrel_framework._pipeline.event_decoder.decoder import (
    EventDecoder,
    documents_of,
    tiebreaker_of,
)
from kestrel_framework._pipeline.event_decoder.documents import (
    MAX_NESTING,
    MalformedEventError,
    checked_document,
    document_of_payload,
)
from kestrel_framework._pipeline.event_decoder.views import (
    KeysOfObject,
    RawReader,
    View,
    ViewTypes,
)

__all__ = [
    "MAX_NESTING",
    "EventDecoder",
    "KeysOfObject",
    "MalformedEventError",
    "RawReader",
    "View",
    "ViewTypes",
    "checked_document",
    "document_of_payload",
    "documents_of",
    "tiebreaker_of",
]
