"""What the plugin offers, and that it can be imported anywhere."""

from __future__ import annotations

import attrs
import pytest

from kestrel_ebpf import plugin
from kestrel_ebpf.source import ProcEventsConfig, ProcEventsSource
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing import make_context


def test_the_source_is_offered_with_its_settings() -> None:
    offer = plugin.kestrel_event_sources()["proc-events"]
    assert offer.config is ProcEventsConfig
    assert isinstance(offer.factory(ProcEventsConfig(), make_context()), ProcEventsSource)


def test_the_fields_fit_the_kernel_s_schema() -> None:
    extension = plugin.kestrel_schema()
    registry = SchemaRegistry.ecs().extended(extension.fields, extension.event_types)
    assert registry.field("process.tty.char_device.major") is not None


@pytest.mark.parametrize("field", attrs.fields(ProcEventsConfig), ids=lambda field: field.name)
def test_each_setting_says_what_it_is_for_and_is_positive(field: attrs.Attribute[object]) -> None:
    assert field.metadata["help"]
    with pytest.raises(ValueError, match=field.name):
        ProcEventsConfig(**{field.name: 0})
