"""The configuration in the guide is one that the kernel takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from kestrel_framework.config import Configuration

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "run-as-a-service.md"


def test_the_configuration_of_the_guide_is_right() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    configuration = Configuration.from_mapping(tomllib.loads(text))
    assert configuration.sources["processes"].type == "proc-events"
    assert configuration.state.type == "builtin:sqlite"
    assert configuration.plugins.allow == ("eql", "ebpf")


def test_a_reload_is_the_signal_that_kestrel_hears() -> None:
    assert "ExecReload=/bin/kill -HUP $MAINPID\n" in GUIDE.read_text(encoding="utf-8")
