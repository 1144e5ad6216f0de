"""Frozen dataclasses that are made quickly.

A frozen dataclass sets each field through `object.__setattr__`, which makes an object of fourteen fields four times as dear as a plain
one; a call makes about a dozen of them, and with plain frozen dataclasses they were most of what the policy layer cost. Here
an object is filled as an instance of a blank class with the same slots, and then becomes what it is. Everything else stays the dataclass's:
fields, equality, hash, `replace`, and the refusal to be changed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_GIVEN_NOTHING: Final = object()


def made_quickly(cls: type[T]) -> type[T]:
    """`cls`, a frozen and slotted dataclass without `__post_init__`, with a constructor of plain assignments.

    Pickling and copying go through the constructor.
    """
    fields = [field for field in dataclasses.fields(cast("Any", cls)) if field.init]
    names = tuple(field.name for field in fields)
    blank = type(cls.__name__, (), {"__slots__": names})
    scope: dict[str, Any] = {"_new": object.__new__, "_blank": blank, "_NOTHING": _GIVEN_NOTHING}
    parameters: list[str] = []
    lines = ["_self = _new(_blank)"]
    for field in fields:
        name, default, make = field.name, field.default, field.default_factory
        if make is not dataclasses.MISSING and (made := make()) is make():
            default = made  # the same for all: it cannot be changed, and has no hash, for want of which dataclasses refuse it
        if default is not dataclasses.MISSING:
            scope[f"_default_{name}"] = default
            parameters.append(f"{name}=_default_{name}")
        elif make is not dataclasses.MISSING:
            scope[f"_make_{name}"] = make
            parameters.append(f"{name}=_NOTHING")
            lines.append(f"if {name} is _NOTHING: {name} = _make_{name}()")
        else:
            parameters.append(name)
        lines.append(f"_self.{name} = {name}")
    body = "\n    ".join([*lines, "_self.__class__ = _cls", "return _self"])
    # The same way the standard library writes a dataclass's constructor; nothing in it comes from outside the class body.
    exec(f"def __new__(_cls, {', '.join(parameters)}):\n    {body}", scope)  # noqa: S102
    made = scope["__new__"]
    made.__qualname__ = f"{cls.__qualname__}.__new__"
    made.__annotations__ = {**cast("Any", cls).__init__.__annotations__, "return": None}

    def reduced(self: object) -> tuple[type[T], tuple[object, ...]]:
        return cls, tuple(getattr(self, name) for name in names)

    changed = cast("Any", cls)
    del changed.__init__
    changed.__new__ = made
    changed.__reduce__ = reduced
    return cls
