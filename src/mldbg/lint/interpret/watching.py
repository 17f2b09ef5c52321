"""Fits that evaluate while they train: on which rows, and what they decide by that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choosing import Choosing
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Keeps
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import argument_of
from mldbg.lint.interpret.source_text import last_name
from mldbg.lint.interpret.value import Constant, Items, Object, Value
from mldbg.operations import parts, sklearn

_KEEPS = {"stop": Keeps.STOP, "weights": Keeps.WEIGHTS, "rate": Keeps.RATE}
_RANKS = (Keeps.WEIGHTS, Keeps.STOP, Keeps.RATE)

DEEPEST_SET = 3
"""Lists of pairs of arrays that are looked into for rows."""


class Watching:
    """Tells the rules which rows decide inside a fit."""

    def __init__(self, machine: Machine, contents: Contents, choosing: Choosing) -> None:
        self.machine = machine
        self.contents = contents
        self.choosing = choosing

    def fitted(self, base: Value, arguments: Sequence[Argument], site: Site) -> None:
        """`model.fit(X, y, validation_data=...)`, `booster.fit(X, y, eval_set=...)`, `trainer.fit(module, train, val)`."""
        cls = base.thing.cls if isinstance(base.thing, Object) else None
        if cls in parts.LIGHTNING_TRAINERS:
            loaders = [each for each in arguments if each.keyword in parts.VALIDATION_LOADERS]
            loaders += [each for each in arguments[2:3] if each.keyword is None]
            keeps = self._decided_by(self._held(base, "callbacks"))
        else:
            loaders = [each for each in arguments if each.keyword in sklearn.VALIDATION_KEYWORDS]
            if not loaders:
                return
            keeps = self._decides(base, arguments)
            if keeps is None and isinstance(cls, str) and cls.startswith("catboost.") and self._is_best_used(base, arguments):
                keeps = Keeps.WEIGHTS  # what it does unless it is told not to
        for loader in loaders:
            self._tell(loader.value, keeps, site, last_decides=isinstance(cls, str) and cls.startswith("xgboost."))

    def called(self, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """`xgb.train(..., evals=...)`, `Trainer(..., eval_dataset=...)`."""
        keywords = parts.VALIDATING_CALLS.get(name)
        if keywords is None:
            return
        keeps = self._decides(None, arguments)
        for argument in arguments:
            if argument.keyword in keywords:
                self._tell(argument.value, keeps, site, last_decides=name.startswith("xgboost."))

    def _tell(self, value: Value, keeps: Keeps | None, site: Site, *, last_decides: bool) -> None:
        items = self.contents.items_of(value)
        if last_decides and items is not None and items.exact and items.tail:
            value = items.tail[-1]
        for one in self._rows(value, 0):
            if one.role is not None and one.role.held_out:
                self.choosing.validates(one, keeps or Keeps.NOTHING, site)
                return

    def _rows(self, value: Value, depth: int) -> Iterator[Value]:
        items = self.contents.items_of(value)
        mapping = self.contents.mapping_of(value) if items is None else None
        if items is None and mapping is None:
            yield value
        elif depth < DEEPEST_SET:
            for one in items.all if items is not None else (held for _, held in mapping.items) if mapping is not None else ():
                yield from self._rows(one, depth + 1)

    # ----------------------------------------------------------------------------------------------------------- what decides
    def _decides(self, base: Value | None, arguments: Sequence[Argument]) -> Keeps | None:
        found = {keeps for each in arguments if (keeps := self._of_keyword(each.keyword, each.value)) is not None}
        for each in arguments:
            if each.keyword == "callbacks":
                found |= self._of_callbacks(each.value)
            elif each.keyword in ("args", "training_args", "params") or (each.keyword is None and each.node is not None):
                found |= self._of_settings(each.value)
        if base is not None:
            found |= self._of_settings(base)
            callbacks = self._held(base, "callbacks")
            found |= self._of_callbacks(callbacks) if callbacks is not None else set()
        return next((keeps for keeps in _RANKS if keeps in found), None)

    def _decided_by(self, callbacks: Value | None) -> Keeps | None:
        found = self._of_callbacks(callbacks) if callbacks is not None else set()
        return next((keeps for keeps in _RANKS if keeps in found), None)

    @staticmethod
    def _of_keyword(keyword: str | None, value: Value) -> Keeps | None:
        said = parts.DECIDING_KEYWORDS.get(keyword or "")
        off = isinstance(value.thing, Constant) and not value.constant
        return _KEEPS[said] if said is not None and not off else None

    def _of_settings(self, value: Value) -> set[Keeps]:
        """What an object that was built with settings, or a dict of them, says."""
        found = set()
        if isinstance(value.thing, Object):
            for keyword in parts.DECIDING_KEYWORDS:
                held = self.machine.state.get(value.thing.ref, argument_of(keyword))
                keeps = self._of_keyword(keyword, held) if held is not None else None
                if keeps is not None:
                    found.add(keeps)
        mapping = self.contents.mapping_of(value)
        for key, held in mapping.items if mapping is not None else ():
            keeps = self._of_keyword(key, held) if isinstance(key, str) else None
            if keeps is not None:
                found.add(keeps)
        return found

    def _held(self, base: Value, keyword: str) -> Value | None:
        return self.machine.state.get(base.thing.ref, argument_of(keyword)) if isinstance(base.thing, Object) else None

    def _of_callbacks(self, value: Value) -> set[Keeps]:
        items = self.contents.items_of(value)
        every = items.all if isinstance(items, Items) else (value,)
        return {keeps for one in every if (keeps := self._of_callback(one)) is not None}

    def _of_callback(self, value: Value) -> Keeps | None:
        node = value.origin.site.node if value.origin is not None and value.origin.site is not None else None
        cls = value.thing.cls if isinstance(value.thing, Object) else None
        name = cls.rpartition(".")[2] if isinstance(cls, str) else last_name(node.func) if isinstance(node, cst.Call) else ""
        row = parts.CHOOSING_CALLBACKS.get(name)
        if row is None:
            return None
        keyword, usual, keeps = row
        monitor = self._held(value, keyword) if keyword else None
        monitor = monitor or (self._held(value, "0") if keyword and name != "ModelCheckpoint" else None)
        if name == "ModelCheckpoint":
            keras = isinstance(cls, str) and "keras" in cls
            best = self._held(value, "save_best_only" if keras else "monitor")
            if best is None or (isinstance(best.thing, Constant) and not best.constant):
                return None
        said = monitor.constant if monitor is not None else usual
        if isinstance(said, str) and keyword and "val" not in said and "test" not in said:
            return None  # it looks at the training data
        return _KEEPS[keeps]

    def _is_best_used(self, base: Value, arguments: Sequence[Argument]) -> bool:
        given = next((each.value for each in arguments if each.keyword == "use_best_model"), self._held(base, "use_best_model"))
        return given is None or given.constant is not False
