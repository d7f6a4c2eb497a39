"""The plugin keeps the contract of plugins."""

from __future__ import annotations

from kestrel_framework.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "kestrel_eql.plugin"
