"""Settings that a program reads from files of its project: what they are unless somebody changes them, they are taken to be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import libcst as cst

from mldbg.lint.interpret import paths
from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.lineage import Lineage
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.paths import path_of
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import (
    MOST_ITEMS,
    MOST_TEXT,
    UNKNOWN,
    ClassThing,
    Constant,
    Entries,
    File,
    Function,
    Items,
    ModuleThing,
    Object,
    Opaque,
    Partial,
    Symbol,
    Value,
    literal,
)
from mldbg.lint.settings import DEEPEST_SETTING, agreed, composed, is_file, parsed, resolved, shipped
from mldbg.operations.configuration import CLICK_OPTIONS, HYDRA_MAIN, Language
from mldbg.operations.spelling import canonical

MOST_PROGRAMS = 40
"""Python files in a folder that are looked through for the names of settings files."""

MOST_FOLDERS = 4
"""Folders above a file from which the program may have been started."""

OMEGACONF = "omegaconf.DictConfig"
SETTINGS = "settings"
"""What tells the dicts and lists of a file apart from others that a place makes."""
_TARGET, _ARGUMENTS, _PARTIAL = "_target_", "_args_", "_partial_"
_OF_HYDRA = ("_recursive_", "_convert_")


class Configuration:
    """Reads settings, and makes what they name."""

    def __init__(self, machine: Machine, names: Names, contents: Contents, lineage: Lineage) -> None:
        self.machine = machine
        self.names = names
        self.contents = contents
        self.lineage = lineage
        self._numbers: dict[tuple[object, ...], int] = {}
        self._written: set[str] = set()
        """Paths of files that the program writes: what stands there now is not what it will read."""
        self.by_name: dict[str, Callable[[Sequence[Argument], Site], Value]] = {
            "read_json": lambda arguments, site: self._read(Language.JSON, arguments, site),
            "read_yaml": lambda arguments, site: self._read(Language.YAML, arguments, site),
            "read_yaml_with": lambda arguments, site: self._read(Language.YAML, arguments[1:], site),
            "read_toml": lambda arguments, site: self._read(Language.TOML, arguments, site),
            "read_omegaconf": self._read_omegaconf,
            "attribute_dict": self._attribute_dict,
            "structured": self._structured,
            "merged_settings": self._merged,
            "changed_settings": self._changed,
            "no_settings": lambda arguments, site: self._mapping(Entries(()), site, (), OMEGACONF),
            "instantiate": self._instantiate,
            "imported_object": self._imported,
            "path": self._path,
            "folder": self._folder,
            "here": lambda arguments, site: Value(File(".")),
            "exists": self._exists,
            "text": self._text,
            "run": self._run,
            "setting": self._setting,
        }

    # ------------------------------------------------------------------------------------------------------------- paths
    def _path(self, arguments: Sequence[Argument], site: Site) -> Value:
        values = [argument.value for argument in arguments if argument.keyword is None and not argument.star]
        result = self.lineage.unknown_result(site)
        if isinstance(site.node, cst.Call) and _is_open(site.node):
            if values and self._writes(values[0], arguments[1:]):
                return result
            values = values[:1]
        if len(values) == 1 and path_of(self.machine, values[0]) is None and paths.is_said_by_user(values[0]):
            return replace(result, thing=File(paths.SAID_BY_USER))
        return paths.joined(self.machine, values, result)

    def _folder(self, arguments: Sequence[Argument], site: Site) -> Value:
        thing = arguments[0].value.thing if arguments else UNKNOWN.thing
        if isinstance(thing, File) and thing.path != paths.SAID_BY_USER:
            return replace(arguments[0].value, thing=File(paths.folder_of(thing.path)))
        return self.lineage.unknown_result(site)

    def _exists(self, arguments: Sequence[Argument], site: Site) -> Value:
        path = path_of(self.machine, arguments[0].value) if arguments else None
        found = self._file(path) if path is not None else None
        return literal(True) if found is not None else self.lineage.unknown_result(site)

    def _text(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`str(path)`, `str(7)`."""
        thing = arguments[0].value.thing if len(arguments) == 1 else UNKNOWN.thing
        if isinstance(thing, File):
            return arguments[0].value
        if isinstance(thing, Constant) and isinstance(thing.value, str | int):
            return literal(str(thing.value))
        return self.lineage.unknown_result(site)

    def _setting(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`os.environ.get("CONFIG", "config.yaml")`."""
        default = next((argument.value for argument in arguments if argument.keyword == "default"), None)
        default = arguments[1].value if default is None and len(arguments) > 1 else default
        return self.lineage.unknown_result(site) if default is None else paths.usually(self.machine, default, site)

    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
        """A method of a path."""
        assert isinstance(base.thing, File)
        if name == "joinpath":
            return paths.joined(
                self.machine, [base, *(argument.value for argument in arguments)], replace(base, thing=UNKNOWN.thing)
            )
        if name in ("exists", "is_file"):
            return self._exists([Argument(base)], site)
        written = name in ("write_text", "write_bytes") and self._note_written(base)
        if written or (name == "open" and self._writes(base, arguments)):
            return self.lineage.unknown_result(site)
        return None

    def _writes(self, path: Value, arguments: Sequence[Argument]) -> bool:
        """Whether a file is opened to be written, as the mode says, the first of these arguments."""
        modes = [argument.value for argument in arguments if argument.keyword == "mode"]
        modes += [argument.value for argument in arguments[:1] if argument.keyword is None]
        mode = modes[0].constant if modes else None
        return isinstance(mode, str) and not mode.startswith("r") and self._note_written(path)

    def _note_written(self, path: Value) -> bool:
        said = path_of(self.machine, path)
        self._written.update([said] if said is not None else ())
        return True

    def _file(self, path: str) -> Path | None:
        """The file that a path of the program leads to, whichever folder it was started from."""
        module = self.machine.frame.module
        if path in self._written:
            return None
        for folder in self._started_from(module) if not Path(path).is_absolute() else [Path()]:
            file = Path(os.path.normpath(folder / path))
            if not self.names.modules.is_of_project(file):
                continue
            if is_file(file):
                module.found.add(file)
                return file
            module.missing.add(file)
        return None

    def _started_from(self, module: Module) -> Iterator[Path]:
        """The folders of the program's files and those above them, up to the project's own."""
        seen: set[Path] = set()
        for each in (self.machine.entry, module):
            if each is None or each.file is None:
                continue
            for folder in list(each.file.parents)[:MOST_FOLDERS]:
                if folder not in seen:
                    seen.add(folder)
                    yield folder

    # ----------------------------------------------------------------------------------------------------------- reading
    def _read(self, language: Language, arguments: Sequence[Argument], site: Site) -> Value:
        content = self._content(language, arguments)
        if content is None:
            return self.lineage.unknown_result(site)
        hook = next((argument.value for argument in arguments if argument.keyword == "object_hook"), None)
        return self._value(content, site, hook=hook)

    def _read_omegaconf(self, arguments: Sequence[Argument], site: Site) -> Value:
        content = self._content(Language.YAML, arguments)
        return self.lineage.unknown_result(site) if content is None else self._value(resolved(dict(content)), site, cls=OMEGACONF)

    def _content(self, language: Language, arguments: Sequence[Argument]) -> Mapping[Any, Any] | None:
        """What stands in the file that is the first argument, where it holds settings by name."""
        given = arguments[0].value if arguments else UNKNOWN
        path = path_of(self.machine, given)
        if path is None:
            return self._shipped(language) if paths.is_said_by_user(given) else None
        file = self._file(path)
        return self._parsed(file, language) if file is not None else None

    def _parsed(self, file: Path, language: Language) -> Mapping[Any, Any] | None:
        known = self.names.modules.settings
        if (file, language) not in known:
            known[file, language] = parsed(file, language)
        content: Mapping[Any, Any] | None = known[file, language]
        return content

    def _shipped(self, language: Language) -> Mapping[Any, Any] | None:
        """What all files of settings say that lie beside the program, where only its user says which of them is read."""
        module = self.machine.frame.module
        folder = module.file.parent if module.file is not None else None
        known = self.names.modules.settings
        if folder is None or not self.names.modules.is_of_project(folder):
            return None
        if (folder, language) not in known:
            known[folder, language] = shipped(folder, language)
        files: list[Path] = known[folder, language]
        files = [file for file in files if not self._is_named_by_others(file, module)]
        module.found.update(files)
        contents = [content for file in files if (content := self._parsed(file, language)) is not None]
        return agreed([content for content in contents if _is_read_by(module, content)])

    def _is_named_by_others(self, file: Path, module: Module) -> bool:
        """Whether another program beside this one reads a file by name."""
        beside = sorted(module.file.parent.glob("*.py")) if module.file is not None else []
        if len(beside) > MOST_PROGRAMS:
            return True
        module.found.update(path for path in beside if path != module.file)  # any of them may come to name it
        others = (self.names.modules.at(path) for path in beside if path != module.file)
        return any(other is not None and file.name in other.text for other in others)

    def _value(
        self, content: Any, site: Site, keys: tuple[object, ...] = (), cls: str = "builtins.dict", hook: Value | None = None
    ) -> Value:
        """Settings as a value."""
        machine = self.machine
        if isinstance(content, Mapping):
            items = tuple((key, self._value(each, site, (*keys, key), cls, hook)) for key, each in content.items())
            made = self._mapping(Entries(items), site, keys, cls)
            if hook is None:
                return made
            with machine.round(site.node, self._numbers.setdefault(keys, len(self._numbers))):
                return machine.call(hook, [Argument(made)], site)
        if isinstance(content, list):
            if len(content) > MOST_ITEMS:
                return Value(Opaque("builtins.list"))
            ref = machine.new_ref(site, Made.LIST, (SETTINGS, *keys))
            machine.state.open(ref)
            held = tuple(self._value(each, site, (*keys, index), cls, hook) for index, each in enumerate(content))
            machine.state.set(ref, Slot.ITEMS, Value(Items("builtins.list", held)))
            return Value(Object(ref, "builtins.list"), origin=ref)
        if isinstance(content, str) and len(content) > MOST_TEXT:
            return Value(Opaque("builtins.str"))
        return literal(content) if content is None or isinstance(content, str | int | float) else UNKNOWN

    def _mapping(self, entries: Entries, site: Site, keys: tuple[object, ...], cls: str) -> Value:
        ref = self.machine.new_ref(site, Made.DICT, (SETTINGS, *keys))
        self.machine.state.open(ref)
        self.machine.state.set(ref, Slot.ITEMS, Value(entries))
        return Value(Object(ref, cls), origin=ref)

    # ---------------------------------------------------------------------------------------------- dicts with attributes
    def _attribute_dict(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`EasyDict(settings)`: its entries are attributes, and so are those of the dicts in it."""
        entries = Entries(())
        for argument in arguments:
            if argument.keyword is not None:
                entries = entries.with_item(argument.keyword, argument.value)
                continue
            more = self.contents.mapping_of(argument.value)
            if more is None:
                return self.lineage.unknown_result(site)
            entries = more
        return self._with_attributes(entries, site, ())

    def _with_attributes(self, entries: Entries, site: Site, keys: tuple[object, ...]) -> Value:
        items = tuple((key, self._inner_with_attributes(value, site, (*keys, key))) for key, value in entries.items)
        return self._mapping(replace(entries, items=items), site, keys, OMEGACONF)

    def _inner_with_attributes(self, value: Value, site: Site, keys: tuple[object, ...]) -> Value:
        inner = self.contents.mapping_of(value) if len(keys) < DEEPEST_SETTING else None
        return value if inner is None else self._with_attributes(inner, site, keys)

    def _structured(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`OmegaConf.structured(Config)`: the class's defaults."""
        return self._run(arguments[:1], site)

    def _merged(self, arguments: Sequence[Argument], site: Site) -> Value:
        """Later settings over earlier ones, of which little is left under settings that nobody knows."""
        merged = Entries(())
        for argument in arguments:
            merged = self._over(merged, self._entries_of(argument.value))
        return self._with_attributes(merged, site, ())

    def given_away(self, arguments: Sequence[Argument]) -> None:
        """Settings that unknown code gets may be others afterwards: `override(cfg, args)`."""
        for argument in arguments:
            thing = argument.value.thing
            if isinstance(thing, Object) and isinstance(thing.ref.detail, tuple) and thing.ref.detail[:1] == (SETTINGS,):
                held = self.contents.mapping_of(argument.value)
                if held is not None:
                    self.machine.state.set(thing.ref, Slot.ITEMS, Value(held.under(None)))

    def _changed(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`OmegaConf.update(cfg, name, value)`: any of the settings may be another."""
        held = self.contents.mapping_of(arguments[0].value) if arguments else None
        thing = arguments[0].value.thing if arguments else UNKNOWN.thing
        if held is not None and isinstance(thing, Object):
            self.machine.state.set(thing.ref, Slot.ITEMS, Value(held.under(None)))
        return literal(None)

    def _entries_of(self, value: Value) -> Entries | None:
        mapping = self.contents.mapping_of(value)
        if mapping is None and isinstance(value.thing, Object) and isinstance(value.thing.cls, ClassThing):
            record = self.machine.state.record(value.thing.ref)
            return Entries(tuple((name, held) for name, held in record.items() if isinstance(name, str)))
        return mapping

    def _over(self, held: Entries, more: Entries | None, depth: int = 0) -> Entries:
        if more is None or depth > DEEPEST_SETTING:
            return held.under(None)
        merged = held.under(replace(more, items=()))
        for key, value in more.items:
            before, inner = held.get(key), self._entries_of(value)
            both = self._entries_of(before) if before is not None else None
            nested = both is not None and inner is not None
            merged = merged.with_item(key, Value(self._over(both, inner, depth + 1)) if nested and both is not None else value)
        return merged

    def method_of_settings(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
        """What settings have for methods beside those of dicts."""
        held = self.contents.mapping_of(base)
        if held is None or not isinstance(base.thing, Object):
            return None
        given = arguments[0].value if arguments else UNKNOWN
        if name in ("clone", "copy"):
            return self._with_attributes(held, site, ())
        if name in ("freeze", "defrost", "set_new_allowed", "lock", "unlock"):
            return literal(None)
        if name in ("merge_from_list", "merge_with_dotlist"):
            if self.contents.items_of(given) is None:  # what the user adds on the command line: nothing, as a rule
                return literal(None)
            more = None
        elif name == "merge_from_file":
            content = self._content(Language.YAML, arguments)
            more = self._entries_of(self._value(content, site)) if content is not None else None
        elif name in ("merge_with", "merge_from_other_cfg"):
            more = self._entries_of(given)
        else:
            return None
        inside = self.contents.mapping_of(self._with_attributes(self._over(held, more), site, ()))
        self.machine.state.set(base.thing.ref, Slot.ITEMS, Value(inside or Entries((), exact=False)))
        return literal(None)

    # ------------------------------------------------------------------------------------------------------------- Hydra
    def given_by_decorator(self, function: Function, parameter: str, site: Site) -> Value | None:
        """What a decorator hands to a function: `@hydra.main(config_path="conf", config_name="config")` its configuration,
        `@click.option("--loss", default="ce")` an option, which is that unless somebody sets it.
        """
        node = function.node
        for decorator in node.decorators if isinstance(node, cst.FunctionDef) else ():
            call = decorator.decorator
            thing = self.machine.evaluate(call.func).thing if isinstance(call, cst.Call) else UNKNOWN.thing
            if not isinstance(call, cst.Call) or not isinstance(thing, Symbol):
                continue
            values = [(arg.keyword.value if arg.keyword is not None else None, self.machine.now(arg.value)) for arg in call.args]
            if canonical(thing.name) == HYDRA_MAIN:
                return self._handed_by_hydra(function.part.module, values, site)
            if canonical(thing.name) in CLICK_OPTIONS and parameter in _names_of_option(values):
                default = dict(values).get("default")
                return paths.usually(self.machine, default, site) if default is not None else None
        return None

    def _handed_by_hydra(self, module: Module, values: Sequence[tuple[str | None, Value]], site: Site) -> Value | None:
        given = {name: path_of(self.machine, value) for name, value in values if name is not None}
        unnamed = [path_of(self.machine, value) for name, value in values if name is None]
        given = dict(zip(("config_path", "config_name"), unnamed, strict=False)) | given
        folder, name = given.get("config_path") or ".", given.get("config_name")
        if name is None or module.file is None:
            return None
        return self._composed(module, Path(os.path.normpath(module.file.parent / folder)), name, site)

    def _composed(self, module: Module, folder: Path, name: str, site: Site) -> Value | None:
        if not self.names.modules.is_of_project(folder):
            return None
        known = self.names.modules.settings
        if (folder, name) not in known:
            known[folder, name] = composed(folder, name)
        found = known[folder, name]
        if found is None:
            module.missing.add(folder / f"{name}.yaml")
            return None
        module.found |= found.files
        module.missing |= found.missing
        return self._value(found.content, site, cls=OMEGACONF)

    def _instantiate(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`instantiate(cfg.model, **more)`: the class named by `_target_`, called with the settings beside it."""
        if not arguments:
            return UNKNOWN
        entries = self.contents.mapping_of(arguments[0].value)
        if entries is None:
            return self._escaped(arguments, site)
        for argument in arguments[1:]:
            if argument.keyword is not None:
                entries = entries.with_item(argument.keyword, argument.value)
        positional = [argument for argument in arguments[1:] if argument.keyword is None and not argument.star]
        return self._made(entries, positional, site, ())

    def _made(self, entries: Entries, positional: Sequence[Argument], site: Site, keys: tuple[object, ...]) -> Value:
        machine = self.machine
        nested = entries.get("_recursive_") is None or entries.get("_recursive_") == literal(True)
        held = {key: self._inner(value, site, (*keys, key)) if nested else value for key, value in entries.items}
        target = held.get(_TARGET)
        if target is None:
            return self._mapping(Entries(tuple(held.items()), entries.exact), site, ("made", *keys), OMEGACONF)
        callee = self._named(target, site)
        listed = self.contents.items_of(held[_ARGUMENTS]) if _ARGUMENTS in held else None
        given = [
            *(positional or [Argument(value) for value in (listed.tail if listed is not None else ())]),
            *(
                Argument(value, key)
                for key, value in held.items()
                if isinstance(key, str) and key not in (_TARGET, _ARGUMENTS, _PARTIAL, *_OF_HYDRA)
            ),
        ]
        if not entries.exact:
            given.append(Argument(UNKNOWN, star="**"))
        if held.get(_PARTIAL) == literal(True):
            return Value(Partial(callee, tuple((argument.keyword, argument.value) for argument in given if not argument.star)))
        with machine.round(site.node, self._numbers.setdefault(keys, len(self._numbers))):  # the parts of it are made here, too
            return machine.call(callee, given, site)

    def _inner(self, value: Value, site: Site, keys: tuple[object, ...]) -> Value:
        """A setting of an object: an object itself where it names its class."""
        inner = self.contents.mapping_of(value)
        if inner is not None:
            return self._made(inner, (), site, keys) if _holds_target(self.contents, inner, 0) else value
        items = self.contents.items_of(value)
        if items is None or not items.exact or not any(self.contents.mapping_of(item) for item in items.tail):
            return value
        made = tuple(self._inner(item, site, (*keys, index)) for index, item in enumerate(items.tail))
        return Value(Items("builtins.list", made))

    def _named(self, target: Value, site: Site) -> Value:
        """A class or function: itself, or what a dotted name stands for."""
        return self.named(target.constant) if isinstance(target.constant, str) else target

    def _imported(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`importlib.import_module("models.unet")`, `get_class("models.UNet")`."""
        name = arguments[0].value.constant if arguments else None
        return self.named(name) if isinstance(name, str) and not name.startswith(".") else self._escaped(arguments, site)

    def named(self, dotted: str) -> Value:
        """What a dotted name stands for: something of the project, else of a library."""
        module, parts = self.machine.frame.module, dotted.split(".")
        for count in range(len(parts), 0, -1):
            name = ".".join(parts[:count])
            found = module if name in (module.name, "__main__") else self.names.modules.find(name, module)
            if found is not None:
                value = Value(ModuleThing(found))
                for part in parts[count:]:
                    value = (
                        self.names.attribute_of_module(value.thing.module, part)
                        if isinstance(value.thing, ModuleThing)
                        else UNKNOWN
                    )
                return value
        return Value(Symbol(canonical(dotted)))

    def _escaped(self, arguments: Sequence[Argument], site: Site) -> Value:
        return self.machine.call(UNKNOWN, arguments, site)

    # ------------------------------------------------------------------------------------------------------------ commands
    def _run(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`fire.Fire(main)`: a function or class called with its defaults, as it is when nobody sets an option."""
        target = arguments[0].value if arguments else UNKNOWN
        if isinstance(target.thing, Function | ClassThing | Partial):
            return self.machine.call(target, [], site)
        return target if isinstance(target.thing, Object) else self.lineage.unknown_result(site)


def _is_open(node: cst.Call) -> bool:
    """Whether a call opens a file: what follows the path says how."""
    name = (
        node.func.attr.value
        if isinstance(node.func, cst.Attribute)
        else node.func.value
        if isinstance(node.func, cst.Name)
        else ""
    )
    return name == "open"


def _names_of_option(values: Sequence[tuple[str | None, Value]]) -> set[str]:
    """The parameters that an option of click may be for: `"-l", "--loss-name", "loss"`."""
    said = [value.constant for name, value in values if name is None]
    return {text.lstrip("-").replace("-", "_").lower() for text in said if isinstance(text, str)}


def _is_read_by(module: Module, content: Mapping[Any, Any]) -> bool:
    """Whether a program names most of some settings."""
    words = module.uses
    return 2 * sum(key in words or f'"{key}"' in module.text or f"'{key}'" in module.text for key in content) > len(content)


def _holds_target(contents: Contents, entries: Entries, depth: int) -> bool:
    if entries.get(_TARGET) is not None:
        return True
    inner = [contents.mapping_of(value) for _, value in entries.items]
    return depth < DEEPEST_SETTING and any(each is not None and _holds_target(contents, each, depth + 1) for each in inner)
