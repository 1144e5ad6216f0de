"""A class of ours over that of one live object, and taken away again, whoever has put another one over it meanwhile.

The object stays itself: `isinstance`, name and attributes. What somebody kept of the layer, a bound method of it for example, must ask whether
it still counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

BASE: Final = "_resilient_base"
"""What a layer lies over; no other class has it among its own attributes."""
_GIVEN: Final = "_resilient_given"
"""The names of what a layer was given."""
_COPIED: Final = ("__module__", "__qualname__", "__doc__")


def put_over(one: Any, namespace: Mapping[str, Any]) -> None:
    """Gives `one` a class of its own with `namespace`, in the place of the layer it may have already, at a stroke."""
    base = base_of(one)
    copied = {name: getattr(base, name) for name in _COPIED}
    one.__class__ = type(
        base.__name__, (base,), {**copied, BASE: base, _GIVEN: tuple(namespace), **namespace}
    )


def layer_of(one: object) -> type | None:
    """The layer of `one`, on top or below classes that others put over it; None if it has none."""
    return next((each for each in type(one).__mro__ if BASE in vars(each)), None)


def base_of(one: object) -> Any:
    """The class of `one` without a layer on top of it."""
    kind = type(one)
    return vars(kind).get(BASE, kind)


def take_away(one: Any) -> None:
    """Takes the layer of `one` away. Below somebody else's class, which must not be lost, it is emptied instead."""
    layer = layer_of(one)
    if layer is None:
        return
    if type(one) is layer:
        one.__class__ = vars(layer)[BASE]
        return
    for name in (*vars(layer)[_GIVEN], _GIVEN, BASE):
        delattr(layer, name)
