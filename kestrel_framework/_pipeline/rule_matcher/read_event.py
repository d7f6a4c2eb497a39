"""An event, as far as it is read."""

from __future__ import annotations

from collections.abc import Callable

from kestrel_framework._pipeline.event_decoder import View
from kestrel_framework.event import Document


class ReadEvent:
    """An event as residuals read it: the view, and the document if they ask for it.

    Args:
        view: The fields.
        decode: Returns the document.
    """

    __slots__ = ("_decode", "_document", "view")

    def __init__(self, view: View, decode: Callable[[], Document]) -> None:
        self.view = view
        self._decode = decode
        self._document: Document | None = None

    def read_document(self) -> Document:
        """Return the whole event; decoded once, when first asked for."""
        if self._document is None:
            self._document = self._decode()
        return self._document
