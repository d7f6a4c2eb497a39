"""What all contracts share: their tests cannot be dropped in silence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import pytest

from kestrel_framework.errors import ConfigurationError
from kestrel_framework.interfaces import Offer, PluginContext

TestT = TypeVar("TestT", bound=Callable[..., None])

_ABILITY = "_kestrel_ability"
_NOT_SUPPORTED = object()


def if_supported(ability: str) -> Callable[[TestT], TestT]:
    """Mark a contract test that is there only where the class attribute `ability` is true."""

    def mark(test: TestT) -> TestT:
        setattr(test, _ABILITY, ability)
        return test

    return mark


class Contract:
    """The base of all contracts.

    What an implementation may leave out is a class attribute, stated once and
    visible; tests of what it does not support do not exist, instead of being skipped.
    Any other contract test may be overridden only with `@pytest.mark.xfail(reason=...)`.

    Attributes:
        offer: How a configuration makes the object; needed with `bad_configurations`.
        bad_configurations: Instances of its configuration class that the factory refuses,
            or callables that try to make one.
        has_bad_configurations: Whether there are any.

    Raises:
        TypeError: while a class is defined: it drops a contract test.
    """

    offer: ClassVar[Offer[Any, object] | None] = None
    bad_configurations: ClassVar[Sequence[object]] = ()
    has_bad_configurations: ClassVar[bool] = False

    def __init_subclass__(cls, *, contract: bool = False, **arguments: object) -> None:
        super().__init_subclass__(**arguments)
        cls._is_contract = contract
        if contract:
            return
        cls.has_bad_configurations = bool(cls.bad_configurations)
        for name, test in _contract_tests(cls):
            found = inspect.getattr_static(cls, name)
            ability = getattr(test, _ABILITY, None)
            if ability is not None and not getattr(cls, ability):
                setattr(cls, name, _NOT_SUPPORTED)
            elif found is _NOT_SUPPORTED:
                setattr(cls, name, test)
            elif found is not test and not _is_expected_failure(found):
                raise TypeError(
                    f"{cls.__name__} overrides the contract's `{name}`; if it cannot pass yet, "
                    'say so with @pytest.mark.xfail(reason="...")'
                )

    _is_contract: ClassVar[bool] = True

    @if_supported("has_bad_configurations")
    def test_refuses_bad_configurations(self, kestrel_context: PluginContext) -> None:
        """What is wrong with a configuration is said before anything is opened."""
        assert self.offer is not None, "state the `offer` that makes the object"
        for bad in self.bad_configurations:
            with pytest.raises(ConfigurationError):
                self.offer.factory(bad() if callable(bad) else bad, kestrel_context)


def _contract_tests(cls: type[Contract]) -> Iterator[tuple[str, object]]:
    seen = set()
    for base in cls.__mro__:
        if base.__dict__.get("_is_contract"):
            for name, member in vars(base).items():
                if name.startswith("test_") and name not in seen:
                    seen.add(name)
                    yield name, member


def _is_expected_failure(test: object) -> bool:
    return any(
        mark.name == "xfail" and bool(mark.kwargs.get("reason"))
        for mark in getattr(test, "pytestmark", ())
    )
