"""Data sets of torchvision: what one of their pictures is after the transforms that a program gives them."""

from __future__ import annotations

from dataclasses import replace

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.shapes import INT
from mldbg.lint.interpret.slots import argument_of
from mldbg.lint.interpret.value import (
    UNKNOWN,
    Bound,
    ClassThing,
    Function,
    Items,
    Object,
    Opaque,
    Partial,
    Shaped,
    Symbol,
    Value,
    first_step,
)
from mldbg.operations.pictures import COMPOSE, IN_MEMORY, LAMBDA, PARAMETERS, PICTURES, Picture, Setting, change_of
from mldbg.operations.shape import Shape, Tensor
from mldbg.operations.sizes import ANY, atom
from mldbg.operations.spelling import canonical

_DEEPEST = 4
"""Compositions inside one another that are followed."""


class Pictures:
    """Gives data sets of pictures what they hand out.

    Args:
        machine: the machine.
        contents: what sequences hold.
    """

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self._machine = machine
        self._contents = contents

    def row(self, dataset: Value, site: Site) -> Value | None:
        """A picture with its class id; None where the data set is not known, or its transforms are not."""
        thing = dataset.thing
        picture = PICTURES.get(canonical(thing.cls)) if isinstance(thing, Object) and isinstance(thing.cls, str) else None
        if picture is None:
            return None
        transform, target = self._given(dataset, "transform"), self._given(dataset, "target_transform")
        made = self._transformed(picture, transform, site, 0) if transform is not None else None
        if isinstance(made, Picture):
            made = _tensor(made, site)
        if made is None:
            return None
        label = Value(Opaque(INT), data=dataset.data)
        if target is not None and not target.is_none:
            label = self._machine.call(target, [Argument(label)], site)
        return Value(Items("builtins.tuple", (replace(made, data=dataset.data), label)))

    def attribute(self, dataset: Value, name: str, site: Site, result: Value) -> Value | None:
        """`dataset.data` and `dataset.targets`, of all pictures; None of anything else."""
        thing = dataset.thing
        picture = IN_MEMORY.get(canonical(thing.cls)) if isinstance(thing, Object) and isinstance(thing.cls, str) else None
        if picture is None or not isinstance(thing, Object):
            return None
        rows = atom("pictures", (thing.ref, "pictures"))
        is_array = picture.channels != 1
        if name == "data":
            sides = (rows, picture.height, picture.width)
            tensor = Tensor(Shape((*sides, picture.channels) if is_array else sides), "uint8")
        elif name == "targets" and not is_array:
            tensor = Tensor(Shape((rows,)), "int64")
        else:
            return None
        return replace(result, shaped=Shaped(tensor, first_step(site, f"holds {tensor.shape}"), is_array=is_array))

    def _given(self, thing: Value, name: str) -> Value | None:
        """What a constructor got for a parameter."""
        assert isinstance(thing.thing, Object)
        return self._machine.state.get(thing.thing.ref, argument_of(name))

    def _transformed(self, before: Picture | Value, transform: Value, site: Site, depth: int) -> Picture | Value | None:
        """What a transform makes of a picture, or of the tensor that another one has made of it; None where that is not known."""
        thing = transform.thing
        if isinstance(thing, Function | Bound | Partial | Symbol) or (
            isinstance(thing, Object) and isinstance(thing.cls, ClassThing)
        ):
            return self._called(before, transform, site)
        if not isinstance(thing, Object) or not isinstance(thing.cls, str) or depth > _DEEPEST:
            return None
        cls = canonical(thing.cls)
        if cls in COMPOSE:
            return self._composed(before, transform, cls, site, depth)
        if cls in LAMBDA:
            function = self._given(transform, "lambd")
            return self._called(before, function, site) if function is not None else None
        change = change_of(cls)
        if change is None:
            return None
        if isinstance(before, Value):
            return before if change(_ANY_TENSOR, {}) == _ANY_TENSOR else None
        parameters = PARAMETERS.get(cls, ("expand",))
        settings = {name: self._setting(transform, name) for name in parameters}
        if any(settings[name] is None and self._given(transform, name) is not None for name in parameters):
            return replace(change(before, {}), channels=ANY, height=ANY, width=ANY)  # what it was given is not known
        return change(before, {name: value for name, value in settings.items() if value is not None})

    def _composed(self, before: Picture | Value, transform: Value, cls: str, site: Site, depth: int) -> Picture | Value | None:
        listed = transform if cls.startswith("torch.nn.") else self._given(transform, "transforms")
        items = self._contents.items_of(listed) if listed is not None else None
        if items is None or not items.exact:
            return None
        made: Picture | Value | None = before
        for one in items.tail:
            made = self._transformed(made, one, site, depth + 1) if made is not None else None
        return made

    def _called(self, before: Picture | Value, function: Value, site: Site) -> Value | None:
        """What a function of the program, or a lambda, makes of a tensor."""
        tensor = _tensor(before, site) if isinstance(before, Picture) else before
        made = self._machine.call(function, [Argument(tensor)], site) if tensor is not None else UNKNOWN
        return made if made.shaped is not None else None

    def _setting(self, transform: Value, name: str) -> Setting:
        given = self._given(transform, name)
        if given is None:
            return None
        if isinstance(given.constant, int):
            return given.constant
        items = self._contents.items_of(given)
        numbers = [one.constant for one in items.tail] if items is not None and items.exact else []
        known = [number for number in numbers if isinstance(number, int)]
        return tuple(known) if known and len(known) == len(numbers) else None


_ANY_TENSOR = Picture(3, 7, 5, "float32")
"""A picture by which transforms that change nothing are told from those that do."""


def _tensor(picture: Picture, site: Site) -> Value | None:
    """The tensor of a picture; None where it is still one of PIL."""
    if picture.dtype is None:
        return None
    shape = Shape((picture.channels, picture.height, picture.width))
    return Value(shaped=Shaped(Tensor(shape, picture.dtype), first_step(site, f"a picture has {shape}")))
