from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site, site_of
from mldbg.lint.interpret.facts import LoaderBuilt, Loop, Place, Written
from mldbg.lint.interpret.value import UNKNOWN, ClassThing, Function, Object, Value, first_step
from mldbg.lint.outline import Kind
from mldbg.lint.rule import Listening, Rule, Topic
from mldbg.lint.sources import meanings
from mldbg.operations.loading import ANY_FUNCTION, CHAINS, NORMALISES, TO_UNIT_RANGE, TO_UNIT_RANGE_FUNCTIONS

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part

_FLOAT = re.compile(r"float|\bdouble\b|/\s*255")
_TIMES_255 = re.compile(r"\*=?\s*255|\bmul_?\(\s*255|255(?:\.0*)?\s*\*")
_HALF = re.compile(r"\b127\.5")
_DEEPEST = 4

STEPS = frozenset({"training_step", "validation_step", "test_step", "predict_step"})
"""Methods of a LightningModule that get batches."""


class DoubleScaling(Rule):
    """pictures that ToTensor has scaled to 0..1 are divided by 255 once more

    ## Why
    `ToTensor` divides bytes by 255. Divided once more, all pixels lie between 0 and 0.004: nearly black pictures, on which a
    network with a bias learns slowly or not at all. Where the statistics for `Normalize` were those of 0..1, every picture
    becomes nearly the same.

    ## Bad
        from torchvision import transforms

        transform = transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda image: image / 255.0)])

    ## Good
        from torchvision import transforms

        transform = transforms.Compose([transforms.PILToTensor(), transforms.Lambda(lambda image: image / 255.0)])

    ## Limits
    Looks at transforms, at what is done to their results in the same function or class, and at loops over loaders of datasets
    that apply them, with `collate_fn` and the steps of a LightningModule in the same file. The same goes for a division by
    127.5, and for `Normalize` with the mean of bytes. Arrays of floats are not scaled by `ToTensor`: silent where anything
    says that the pictures are such, where another function is applied behind it, and for the raw pictures in `dataset.data`.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOADERS
    about_experiments = True
    listens_to = Listening(
        frozenset({Loop, LoaderBuilt, Written}),
        syntax=frozenset({"BinaryOperation", "AugAssign", "Call"}),
        where=re.compile(r"\b255\b|\b127\.5|Normalize\("),
    )

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        scaling = [loader for loader in loop.loaders if _scales(loader.steps) and _holds_bytes(loader.whole)]
        if not scaling or _TIMES_255.search(nodes.code(loop.node.body)):
            return
        names = nodes.names_from_target(loop.node)
        first = scaling[0].ref.site or loop.place.site
        for part, node, divided in _divisions(loop.place.site.part, loop.node.body, names):
            yield self._twice(site_of(part, node), divided, first)

    def on_loader_built(self, built: LoaderBuilt) -> Iterator[Finding]:
        yield from self._in_steps(built)
        thing = built.dataset.thing
        if not isinstance(thing, Object) or not isinstance(thing.cls, ClassThing) or not _scales(built.loader.steps):
            return
        if not _holds_bytes(built.dataset):
            return
        for method in thing.cls.part.methods.values():
            for node in nodes.descendants(method.function) if method.function.name.value == "__getitem__" else ():
                divided = nodes.divided_by_255(node)
                place = Place(site_of(method, node), ("__getitem__",), method.function)
                if divided is not None and _is_transformed(place, divided):
                    yield self._twice(place.site, divided, built.place.site)

    def _in_steps(self, built: LoaderBuilt) -> Iterator[Finding]:
        """What is divided where batches are put together, and in the steps of a LightningModule of the same file."""
        if not _scales(built.loader.steps) or not _holds_bytes(built.loader.whole):
            return
        collate = built.loader.arguments.get("collate_fn", UNKNOWN).thing
        module = built.place.site.part.module
        found = [(collate.part, collate.node)] if isinstance(collate, Function) else []
        found += [
            (method, method.function)
            for cls in module.parts
            for method in cls.methods.values()
            if method.function.name.value in STEPS
        ]
        for part, function in found:
            names = nodes.parameters_of(function)
            if _TIMES_255.search(nodes.code(function)) or not names:
                continue
            batch = names[1] if names[0] == "self" and len(names) > 1 else names[0]
            for where, node, divided in _divisions(
                part, function, frozenset({batch}), gathers=isinstance(collate, Function) and function is collate.node
            ):
                yield self._twice(site_of(where, node), divided, built.place.site)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        again = _divided_in_chain(site)
        if again is not None:
            yield self._twice(site_of(site.part, again), None, site)
        divided = nodes.divided_by_255(site.node)
        if divided is None:
            return
        scaled = _scaled_by(written.place, divided, _DEEPEST)
        if scaled is not None:
            yield self._twice(site, divided, scaled)

    def _twice(self, site: Site, divided: cst.BaseExpression | None, first: Site) -> Finding:
        half = _HALF.search(nodes.code(site.node)) is not None
        if divided is None and _of_bytes(site.node):
            return self.found(
                site,
                "pixels are normalised by statistics of bytes: ToTensor has scaled them to 0..1 already",
                hint="divide the mean and the deviation by 255",
                trail=first_step(first, "ToTensor divides by 255"),
                last=(site, "the mean is one of pixels between 0 and 255"),
            )
        return self.found(
            site,
            f"pixels are divided by {'127.5' if half else '255 twice'}: ToTensor has scaled them to 0..1 already",
            hint="take 2 * x - 1 to get from 0..1 to -1..1" if half else "drop the division",
            trail=first_step(first, "ToTensor divides by 255"),
            last=(site, "divided by 127.5, as bytes are" if half else "divided by 255 again"),
            fix=_fix(site, divided) if not half else None,
        )


def _divisions(
    part: Part, block: cst.CSTNode, names: frozenset[str], *, follow: bool = True, gathers: bool = False
) -> Iterator[tuple[Part, cst.CSTNode, cst.BaseExpression]]:
    """The divisions by 255 of what some names stand for, in a block and in functions of the module that are given them."""
    names = nodes.names_gathered_from(block, names) if gathers else nodes.names_passed_on(block, names)
    for node in nodes.descendants(block):
        divided = nodes.divided_by_255(node)
        if divided is not None and (_is_of(divided, names) or (gathers and _is_stack_of(divided, names))):
            yield part, node, divided
        called = part.module.part_of.get(nodes.name_of(nodes.called(node) or node) or "") if follow else None
        if called is None or called.statement.kind is not Kind.FUNCTION or nodes.called(node) is None:
            continue
        given = [nodes.name_of(nodes.unwrapped(value)) in names for value in nodes.given(node)]
        inner = frozenset(name for name, is_picture in zip(nodes.parameters(called.function), given, strict=False) if is_picture)
        if inner and not _TIMES_255.search(called.code):
            yield from _divisions(called, called.function, inner, follow=False)


def _is_of(node: cst.BaseExpression, names: frozenset[str]) -> bool:
    return nodes.name_of(nodes.unwrapped(node)) in names


def _is_stack_of(node: cst.BaseExpression, names: frozenset[str]) -> bool:
    """Whether pictures are put together: `torch.stack(images)`, `torch.stack([image for image, _ in batch])`."""
    call = nodes.unwrapped(node)
    given = nodes.argument(call, "tensors", 0) if nodes.last_name(nodes.called(call)) in ("stack", "cat") else None
    return given is not None and any(nodes.name_of(each) in names for each in nodes.descendants(given))


def _scales(steps: tuple[str, ...]) -> bool:
    return any(step in TO_UNIT_RANGE for step in steps) and not any(step in ANY_FUNCTION for step in steps)


def _holds_bytes(dataset: Value | None) -> bool:
    """Whether nothing says that the pictures of a dataset are numbers with a fraction."""
    thing = (dataset or UNKNOWN).thing
    if isinstance(thing, Object) and isinstance(thing.cls, ClassThing):
        return _FLOAT.search("".join(_code_before_division(thing.cls))) is None
    return isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls.startswith("torchvision.")


def _code_before_division(cls: ClassThing) -> list[str]:
    return [line for line in cls.part.code.splitlines() if not re.search(r"transform\([^\n]*255|\b\w+ /= 255", line)]


def _is_transformed(place: Place, divided: cst.BaseExpression) -> bool:
    """Whether an expression is what a transform of the dataset gave: `self.transform(image)`."""
    for node in (nodes.unwrapped(divided), *_bound(place, nodes.unwrapped(divided))):
        attribute = nodes.own_attribute(nodes.called(node) or node)
        if attribute is not None and "transform" in attribute and nodes.called(node) is not None:
            return True
    return False


def _bound(place: Place, node: cst.BaseExpression) -> list[cst.BaseExpression]:
    name = nodes.name_of(node)
    return [nodes.unwrapped(value) for _, value in meanings(place, name)] if name is not None else []


def _scaled_by(place: Place, node: cst.BaseExpression, depth: int) -> Site | None:
    """The call that scaled an expression to 0..1, where it is known that bytes went into it."""
    node = nodes.unwrapped(node)
    name = nodes.name_of(node)
    if name is not None and depth:
        found = [(part, _scaled_by(_at(place, part), value, depth - 1)) for part, value in meanings(place, name)]
        scaled = [site for _, site in found if site is not None]
        others = [value for _, value in meanings(place, name) if _TIMES_255.search(nodes.code(value))]
        return scaled[0] if scaled and not others else None
    function = nodes.called(node)
    if function is None or not _gets_bytes(place, node):
        return None
    if reading.qualified(place.site.part, function) in TO_UNIT_RANGE_FUNCTIONS or _is_scaling(place, function, depth):
        return site_of(place.site.part, node)
    return None


def _at(place: Place, part: Part) -> Place:
    return place if part is place.site.part else Place(site_of(part, part.tree), (), None)


def _is_scaling(place: Place, node: cst.BaseExpression, depth: int) -> bool:
    """Whether an expression is `ToTensor()`, or a chain that ends with values between 0 and 1."""
    function = nodes.called(node)
    name = reading.qualified(place.site.part, function) if function is not None else None
    if name in TO_UNIT_RANGE:
        return True
    if name in CHAINS:
        elements = nodes.elements_of(nodes.argument(node, "transforms", 0) or node)
        steps = [reading.qualified(place.site.part, nodes.called(each) or each) or "" for each in elements]
        return _scales(tuple(steps)) and not any(step in NORMALISES for step in steps)
    known, attribute = nodes.name_of(node), nodes.own_attribute(node)
    bound = meanings(place, known) if known is not None else meanings(place, attribute, of_self=True) if attribute else []
    return bool(bound) and depth > 0 and all(_is_scaling(_at(place, part), value, depth - 1) for part, value in bound)


def _gets_bytes(place: Place, call: cst.BaseExpression) -> bool:
    """Whether nothing says that what goes into a transform has fractions already."""
    given = nodes.argument(call, "pic", 0)
    if given is None:
        return False
    texts = [nodes.code(given), *(nodes.code(value) for value in _bound(place, given))]
    return not any(_FLOAT.search(text) for text in texts)


def _divided_in_chain(site: Site) -> cst.BaseExpression | None:
    """In a chain of transforms the one behind ToTensor that divides by 255."""
    function = nodes.called(site.node)
    if function is None or reading.qualified(site.part, function) not in CHAINS:
        return None
    scaled = pictured = False  # what torchvision changes before ToTensor are pictures of bytes
    for each in nodes.elements_of(nodes.argument(site.node, "transforms", 0) or function):
        name = reading.qualified(site.part, nodes.called(each) or each)
        body = nodes.lambda_body(nodes.argument(each, "lambd", 0) if name in ANY_FUNCTION else each)
        if scaled and body is not None and nodes.divided_by_255(body) is not None:
            return each
        if scaled and name in NORMALISES and _by_255(each):
            return each
        if scaled and pictured and name in NORMALISES and _of_bytes(each):
            return each
        pictured |= not scaled and name is not None and name.startswith("torchvision.") and name not in TO_UNIT_RANGE
        if name in ANY_FUNCTION or body is not None or name is None:
            return None  # it may change the numbers, or their type
        scaled |= name in TO_UNIT_RANGE
    return None


def _by_255(node: cst.BaseExpression) -> bool:
    deviation = nodes.argument(node, "std", 1)
    return deviation is not None and re.fullmatch(r"[\[(]?\s*255(?:\.0*)?[\s,255.0]*[\])]?", nodes.code(deviation)) is not None


def _of_bytes(node: cst.CSTNode) -> bool:
    """Whether means and deviations are those of pictures between 0 and 255: `mean=(123.7, 116.3, 103.5)`."""
    means, deviations = nodes.argument(node, "mean", 0), nodes.argument(node, "std", 1)
    sizes = [nodes.float_of(each) for given in (means, deviations) if given is not None for each in nodes.elements_of(given)]
    return len(sizes) > 1 and all(size is not None and 2 < size < 255 for size in sizes)


def _fix(site: Site, divided: cst.BaseExpression | None) -> Fix | None:
    """Leave the division out; a statement that does nothing else goes."""
    if divided is None:
        return None
    if nodes.is_augmented(site.node):
        statement = edit.statement_at(site)
        alone = statement is not None and len(edit.siblings(site.part, statement)) > 1
        return edit.unsafe(edit.removed(site.part, statement)) if statement is not None and alone else None
    if edit.is_statement(site):
        return None
    return edit.unsafe(edit.replaced(site.part, site.node, nodes.code(divided)))
