"""Models of Keras: what their layers give, and what `compile` and a call of a model do with the loss and the layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choices import Choices
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.lineage import Lineage
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.tensors import Tensors
from mldbg.lint.interpret.value import UNKNOWN, Constant, Items, Object, Symbol, Unknown, Value
from mldbg.operations import keras
from mldbg.operations.effect import Activates, Affine, Gives


class Keras:
    """Carries out what is particular to Keras."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents, lineage: Lineage, tensors: Tensors) -> None:
        self._machine = machine
        self._classes = classes
        self._contents = contents
        self._lineage = lineage
        self._tensors = tensors
        self._choices = Choices(machine)

    # ---------------------------------------------------------------------------------------------------------------- layers
    def activated(self, effect: Activates, given: Mapping[str, Value], value: Value, layer: Value | None, site: Site) -> Value:
        """What a layer gives that ends in an activation."""
        if _is_built_with_more(layer) or (effect.top and given.get(effect.top, UNKNOWN).constant is False):
            return self._lineage.derived([value], site)
        made = value
        if effect.affine:
            made = self._tensors.affine(Affine(effect.verb, effect.out), value, layer, site)
            size = given.get(effect.out, UNKNOWN).constant if effect.out is not None else None
            made = replace(made, axes=replace(made.axes, last=size if isinstance(size, int) else None))
        activation = given.get(effect.argument) if effect.argument else None
        if activation is None and effect.usual:
            activation = Value(Constant("str", effect.usual))
        return made if activation is None else self._applied(activation, made, site)

    def _applied(self, activation: Value, value: Value, site: Site) -> Value:
        activation = self._machine.force(activation)
        if activation.among is not None:
            return self._choices.each(activation, lambda one: self._applied(one, value, site), site, supposing=False)
        if activation.is_none:
            return value
        if isinstance(activation.thing, Unknown):
            return self._lineage.derived([value], site)
        if not isinstance(activation.thing, Constant):
            return self._machine.force(self._machine.call(activation, [Argument(value)], site))
        effect = keras.BY_NAME.get(str(activation.constant))
        if isinstance(effect, Gives):
            return self._tensors.gives(effect, value, None, site)
        return value if effect is not None else self._lineage.derived([value], site)

    # ---------------------------------------------------------------------------------------------------------------- models
    def functional(self, given: Mapping[str, Value], values: Sequence[Value], site: Site) -> Value:
        """What `Model(inputs, outputs)` gives for any input."""
        outputs = self._machine.force(given["outputs"]) if "outputs" in given else None
        if outputs is None:
            return self._lineage.derived(values[:1], site)
        return outputs.step(site, "returned by this model")

    def added(self, model: Value, arguments: Sequence[Argument]) -> Value:
        """`model.add(layer)`"""
        self._contents.extend(model, Items("", tuple(argument.value for argument in arguments[:1])))
        return UNKNOWN

    def compiled(self, model: Value, given: Mapping[str, Value], arguments: Sequence[Argument], site: Site) -> Value:
        """`model.compile(loss=...)`: the loss is called with what the model gives, as each step of `fit` will do."""
        loss = given.get("loss")
        if loss is None or any(argument.star for argument in arguments):
            return UNKNOWN
        node = next((one.node for one in arguments if one.value is loss), None)
        for key, one, output in self._paired(self._machine.force(loss), self._outputs(model, site)):
            at = _inside(node, key) if node is not None else None
            self._compute(one, output, self._machine.site(at) if at is not None else site)
        return UNKNOWN

    def predicted(self, model: Value, name: str, result: Value, site: Site) -> Value:
        """`model.predict(x)`: what the model gives, as an array; `result`: what is known of it else."""
        if name not in keras.PREDICTS or not self._classes.is_of_keras(model):
            return result
        outputs = self._outputs(model, site)
        if outputs.meaning is None:
            return result
        return replace(
            result, meaning=outputs.meaning, axes=outputs.axes, trail=outputs.trail, scaled=outputs.scaled, attached=False
        )

    def _outputs(self, model: Value, site: Site) -> Value:
        """What a model gives; in which mode it is run, and on what, the rules hear where the program says it."""
        facts = self._machine.facts
        mark = len(facts)
        outputs = self._machine.force(self._machine.call(model, [Argument(UNKNOWN)], site))
        facts[mark:] = [fact for fact in facts[mark:] if isinstance(fact, Call)]
        return outputs

    def _paired(self, loss: Value, outputs: Value) -> Iterator[tuple[object, Value, Value]]:
        """Each loss with the output that it takes, by order or by the names of layers; and its number or name."""
        losses, each = self._contents.items_of(loss), self._contents.items_of(outputs)
        named, by_name = self._contents.mapping_of(loss), self._contents.mapping_of(outputs)
        if named is not None:
            found = dict(by_name.items) if by_name is not None else self._by_layer(each, outputs)
            yield from ((name, one, found.get(name, UNKNOWN)) for name, one in named.items)
        elif losses is not None:
            several = each.tail if each is not None and each.exact else (outputs,)
            if losses.exact and len(losses.tail) == len(several):
                yield from ((number, *pair) for number, pair in enumerate(zip(losses.tail, several, strict=True)))
        else:
            yield from ((None, loss, output) for output in (each.tail if each is not None else (outputs,)))

    def _by_layer(self, each: Items | None, output: Value) -> dict[object, Value]:
        outputs = each.tail if each is not None else (output,)
        return {name: one for one in outputs for name in _names_of(one)}

    def _compute(self, loss: Value, output: Value, site: Site) -> None:
        loss = self._machine.force(loss)
        if loss.among is not None:
            self._choices.each(loss, lambda one: self._computed(one, output, site), site)
        else:
            self._computed(loss, output, site)

    def _computed(self, loss: Value, output: Value, site: Site) -> Value:
        if isinstance(loss.thing, Constant):
            name = keras.LOSSES_BY_NAME.get(str(loss.constant))
            loss = Value(Symbol(name)) if name is not None else UNKNOWN
        if isinstance(loss.thing, Unknown):
            return UNKNOWN
        return self._machine.call(loss, [Argument(UNKNOWN), Argument(self._machine.force(output))], site)


def _inside(node: cst.BaseExpression, key: object) -> cst.BaseExpression:
    """The expression in a dict or list that stands under a key or number, where it is written out."""
    if isinstance(node, cst.Dict):
        for element in node.elements:
            if (
                isinstance(element, cst.DictElement)
                and isinstance(element.key, cst.SimpleString)
                and element.key.raw_value == key
            ):
                return element.value
    if isinstance(node, cst.List) and isinstance(key, int) and key < len(node.elements):
        return node.elements[key].value
    return node


def _is_built_with_more(layer: Value | None) -> bool:
    """Whether a layer was built with unpacked arguments, of which one may be its activation."""
    site = layer.thing.ref.site if layer is not None and isinstance(layer.thing, Object) else None
    return site is not None and isinstance(site.node, cst.Call) and any(arg.star for arg in site.node.args)


def _names_of(output: Value) -> Iterator[str]:
    """The name that the layer has which made an output: `Dense(3, name="shape")(x)`."""
    node = output.origin.site.node if output.origin is not None and output.origin.site is not None else None
    while isinstance(node, cst.Call):
        for arg in node.args:
            if arg.keyword is not None and arg.keyword.value == "name" and isinstance(arg.value, cst.SimpleString):
                yield str(arg.value.raw_value)
        node = node.func
