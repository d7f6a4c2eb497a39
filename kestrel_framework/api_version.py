"""The version of the plugin interfaces, and which plugins can run under it."""

from __future__ import annotations

import re
from typing import Final

import attrs

_FORM: Final = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


@attrs.frozen(order=True)
class ApiVersion:
    """A version `major.minor` of the plugin interfaces.

    A minor version adds; a major version may take away.
    """

    major: int
    minor: int

    @classmethod
    def parse(cls, text: object) -> ApiVersion:
        """Read `"1.0"`.

        Raises:
            ValueError: `text` is not a string of the form `major.minor`.
        """
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'expected a version such as "1.0", not {text!r}')
        return cls(int(match[1]), int(match[2]))

    def runs(self, plugin: ApiVersion) -> bool:
        """Say whether a kernel of this version runs a plugin written for `plugin`."""
        return self.major == plugin.major and self.minor >= plugin.minor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


API_VERSION: Final = ApiVersion(1, 0)
"""The version of the interfaces that this kernel offers."""
