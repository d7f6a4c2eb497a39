"""The types of the native scanner by themselves: what is asked of Python may fail, and arguments
may be wrong. Nothing is lost by it.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

import pytest

from kestrel_framework._pipeline import event_scanner
from kestrel_framework._pipeline.event_scanner import is_available

pytestmark = pytest.mark.skipif(not is_available(), reason="the native scanner is not compiled")

NATIVE: Final[Any] = (
    importlib.import_module(f"{event_scanner.__name__}._native") if is_available() else None
)


def made(**changed: Any) -> Any:
    arguments = {
        "levels": ((False, ((b"t", 1, 0), (b"a", 1, 1))),),
        "root": NATIVE.Step("node", (1,)),
        "time_field": 0,
        "wanted": (),
        "plain": (),
        "absent_value": None,
        "absent_states": ("no time", "no a"),
        "look_up": lambda field, raw: (raw, raw),
        "follow": lambda step, states: NATIVE.Step("end", (), states),
        "read_time": lambda raw: None,
        "most_bytes": 1000,
        "seed": 0,
    }
    return NATIVE.Scanner(**{**arguments, **changed})


PAYLOAD: Final = b'{"t":"2020-01-01T00:00:00Z","a":"b"}'


def test_the_verdict_is_what_the_last_step_has() -> None:
    native = made()
    for _ in range(2):
        assert native.scan(PAYLOAD) == ((b'"b"',), 1_577_836_800 * 10**9, ())
    assert native.scan(b'{"t":"2020-01-01T00:00:00Z"}')[0] == ("no a",)


def test_a_value_that_nothing_depends_on_is_not_looked_up() -> None:
    asked = []

    def look_up(field: int, raw: bytes) -> tuple[object, str]:
        asked.append(raw)
        return raw, "looked up"

    native = made(look_up=look_up, plain=(1,), wanted=(1,))
    for raw, value in (
        (b'""', ""),
        (b'"b"', "b"),
        (b'"/usr/bin/\xc3\xa4 and more"', "/usr/bin/\xe4 and more"),
        (b'"\xf0\x9f\x90\xa6"', "\U0001f426"),
    ):
        (verdict,), _, values = native.scan(PAYLOAD.replace(b'"b"', raw))
        assert (verdict, values) == ("no a", (value,))
    assert asked == []
    for raw in (b"1", b"null", b'["b"]', b'"\\n"', b'{"b": "c"}'):
        (verdict,), _, values = native.scan(PAYLOAD.replace(b'"b"', raw))
        assert (verdict, values) == ("looked up", (raw,))
        assert asked.pop() == raw


def test_exceptions_come_through() -> None:
    failing = [True]

    def look_up(field: int, raw: bytes) -> object:
        if failing:
            raise KeyError(raw)
        return raw, raw

    native = made(look_up=look_up)
    for _ in range(2):
        with pytest.raises(KeyError):
            native.scan(PAYLOAD)
    failing.clear()
    assert native.scan(PAYLOAD) is not None


def test_more_values_than_are_remembered() -> None:
    asked = 0

    def look_up(field: int, raw: bytes) -> tuple[bytes, bytes]:
        nonlocal asked
        asked += 1
        return raw, raw

    native = made(look_up=look_up)
    for length in (1, 900):  # many values, and many bytes
        for number in (*range(100_000), *range(100_000)):
            text = f'"{number:0{length}}"'.encode()
            assert native.scan(PAYLOAD.replace(b'"b"', text))[0] == (text,)
    assert 300_000 < asked < 400_000  # some were still known
    for _ in range(2):
        asked = 0
        native.scan(PAYLOAD)
    assert asked == 0


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"look_up": lambda field, raw: 1}, TypeError),
        ({"look_up": lambda field, raw: (1,)}, TypeError),
        ({"follow": lambda step, states: None}, TypeError),
        ({"follow": lambda step, states: 1 / 0}, ZeroDivisionError),
    ],
)
def test_wrong_answers(changed: dict[str, Any], error: type[Exception]) -> None:
    native = made(**changed)
    with pytest.raises(error):
        native.scan(PAYLOAD)


def test_it_scans_one_event_at_a_time() -> None:
    native: Any = None
    native = made(look_up=lambda field, raw: native.scan(PAYLOAD))
    with pytest.raises(RuntimeError, match="one event at a time"):
        native.scan(PAYLOAD)
    native = made(look_up=lambda field, raw: native.learn(((False, ()),)))
    with pytest.raises(RuntimeError, match="while it scans"):
        native.scan(PAYLOAD)


@pytest.mark.parametrize(
    "changed",
    [
        {"plain": (2,)},
        {"plain": (-1,)},
        {"plain": ("a",)},
        {"plain": [1]},
        {"levels": ()},
        {"levels": 1},
        {"levels": (1,)},
        {"levels": ((False, (1,)),)},
        {"levels": ((False, ((b"a", 1, 2),)),)},
        {"levels": ((False, ((b"a", 2, 1),)),)},
        {"levels": ((False, ((b"a", 3, 0),)),)},
        {"levels": ((False, ((b"a", 1, -1),)),)},
        {"levels": ((False, ((b"a", 1, 0), (b"a", 1, 1))),)},
        {"root": 1},
        {"time_field": 2},
        {"time_field": "a"},
        {"wanted": (2,)},
        {"wanted": (-1,)},
        {"absent_states": ()},
    ],
)
def test_wrong_arguments(changed: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        made(**changed)


def test_wrong_steps() -> None:
    for arguments in ((), (1,), (1, 2), (1, ()), (1, (-1,)), (1, ("a",)), (1, (1 << 40,)),
                      (1, tuple(range(17)))):  # fmt: skip
        with pytest.raises((TypeError, ValueError, OverflowError)):
            NATIVE.Step(*arguments)
    step = NATIVE.Step(1, (1, 2))
    with pytest.raises(TypeError):
        del step.fields
    assert step.fields == (1, 2)


def test_a_step_at_a_field_that_is_not_there() -> None:
    native = made(root=NATIVE.Step(1, (2,)))
    with pytest.raises(IndexError):
        native.scan(PAYLOAD)


def test_an_object_inside_itself() -> None:
    native = made(levels=((False, ((b"t", 1, 0), (b"a", 2, 0))),))
    assert native.scan(b'{"t":"2020-01-01T00:00:00Z","a":{"t":1}}') is None


def test_many_objects_and_long_keys() -> None:
    long = b"k" * 100_000
    looked_at = (0, 4095, 19_999)
    objects = tuple((b"o%d" % number, 2, number + 1) for number in range(20_000))
    inside = tuple(
        (False, ((long if number in looked_at else b"k", 1, 1),)) for number in range(len(objects))
    )
    native = made(levels=((True, ((b"t", 1, 0), *objects)), *inside))
    payload = b'{"t":"2020-01-01T00:00:00Z","o%d":{"' + long + b'":"b"}}'
    for number in looked_at:
        assert native.scan(payload % number) is None  # longer than it may be
    native = made(levels=((True, ((b"t", 1, 0), *objects)), *inside), most_bytes=1 << 20)
    for number in looked_at:
        assert native.scan(payload % number)[0] == (b'"b"',)
    assert native.scan(payload % 20_000) is None
