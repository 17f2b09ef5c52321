"""Where rows come from, and which part of the data they are by that: data sets of libraries, and names of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.paths import path_of
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import Data, Known, Object, Role, Value
from mldbg.operations import parts


def known_part(machine: Machine, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
    """The result of a function or class outside the project, with the part of the data that its arguments say it is."""
    if parts.PAIRS_OF_PARTS.match(name):
        pairs = [[_part(machine, site, role, label) for label in (False, True)] for role in (Role.TRAIN, Role.TEST)]
        return tuple_of(*(tuple_of(*pair) for pair in pairs))
    held = parts.HOLDS.get(name)
    if held is not None:
        return _holding(result, next((each.value for each in arguments if each.keyword in (None, held)), None))
    if name in parts.KEYED_PARTS and not any(each.keyword == parts.LOADED_PARTS[name] for each in arguments):
        ref = machine.new_ref(site, Made.OBJECT, name)
        machine.state.ensure(ref)
        return Value(Object(ref, name), origin=ref)
    role, known = _told(machine, name, arguments)
    is_data_set = name.startswith(parts.DATASET_PACKAGES)
    if role is None and not is_data_set:
        return result
    data = replace(result.data or Data(), role=role, known=known) if role is not None else result.data or Data()
    rows = data.rows or result.rows or frozenset({machine.new_ref(site)})
    return replace(result, data=replace(data, rows=rows))


def _holding(result: Value, held: Value | None) -> Value:
    """A loader gives out the rows of the set that it was given."""
    if held is None or not (held.rows or held.data is not None):
        return result
    return replace(result, data=replace((held.data or Data()).without_names(), rows=held.rows))


def _part(machine: Machine, site: Site, role: Role, label: bool) -> Value:
    origin = machine.new_ref(site, detail=(role, label))
    rows = frozenset({machine.new_ref(site, detail=role)})
    return Value(data=Data(rows=rows, role=role, known=Known.LIBRARY), origin=origin)


def _told(machine: Machine, name: str, arguments: Sequence[Argument]) -> tuple[Role | None, Known | None]:
    """Which part of a data set was asked for, and what says so."""
    if name.startswith(parts.DATASET_PACKAGES):
        role = _told_a_data_set(arguments)
        if role is not None:
            return role, Known.LIBRARY
    if name in parts.LOADED_PARTS:
        given = next((each.value.constant for each in arguments if each.keyword == parts.LOADED_PARTS[name]), None)
        role = _role(parts.part_of_word(given)) if isinstance(given, str) else None
        if role is not None:
            return role, Known.LIBRARY
    if parts.READS_FILE.search(name):
        return of_file(machine, arguments), Known.FILE
    return None, None


def _told_a_data_set(arguments: Sequence[Argument]) -> Role | None:
    says = [each.value.constant for each in arguments if each.keyword == "train" or each.keyword in parts.SAYS_PART]
    says += [each.value.constant for each in arguments[1:2] if each.keyword is None]
    for said in says:
        if isinstance(said, bool):
            return Role.TRAIN if said else Role.TEST
        if isinstance(said, str):
            return _role(parts.part_of_word(said))
    return None


def of_file(machine: Machine, arguments: Sequence[Argument]) -> Role | None:
    """The part that the name of a file or folder says."""
    if not arguments:
        return None
    path = path_of(machine, arguments[0].value)
    if path is not None:
        return _role(parts.part_of_file(repr(path[-200:])))
    node = arguments[0].node
    return _role(parts.part_of_file(" ".join(_texts(machine, node)))) if node is not None else None


def _texts(machine: Machine, node: cst.BaseExpression) -> Iterator[str]:
    """The strings that a path is put together from, as far as they are known: of `os.path.join(root, x)` that of `x`."""
    yield code(node)
    pieces = [arg.value for arg in node.args] if isinstance(node, cst.Call) else []
    pieces += [node.left, node.right] if isinstance(node, cst.BinaryOperation) else []
    for piece in pieces:
        if isinstance(piece, cst.Name):
            known = machine.evaluate(piece).constant
            if isinstance(known, str):
                yield repr(known[-200:])
        elif isinstance(piece, cst.Call | cst.BinaryOperation):
            yield from _texts(machine, piece)


def keeps_parts(base: Value, method: str) -> bool:
    """Whether a method of a data set with all its parts gives it back with the same parts."""
    return method in parts.KEEPS_PARTS and isinstance(base.thing, Object) and base.thing.cls in parts.KEYED_PARTS


def part_under_key(base: Value, key: object, item: Value) -> Value:
    """`load_dataset(...)["test"]`: the part of this name."""
    cls = base.thing.cls if isinstance(base.thing, Object) else None
    if cls not in parts.KEYED_PARTS or not isinstance(key, str):
        return item
    role = _role(parts.part_of_word(key))
    if role is None:
        return item
    return replace(item, data=replace(item.data or Data(), rows=item.rows, role=role, known=Known.LIBRARY))


def _role(word: str | None) -> Role | None:
    return Role(word) if word is not None else None
