"""`install` holds whole packages to their annotations, and changes nothing else of them."""

from __future__ import annotations

import asyncio
import copy
import importlib
import importlib.util
import inspect
import os
import pickle
import py_compile
import runpy
import subprocess
import sys
import threading
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from mldbg import contracts
from mldbg.contracts import ContractError, ContractWarning, NeverChecked, install

GOOD, BAD = torch.zeros(2, 3), torch.zeros(2)

HEAD = """
    from __future__ import annotations
    import asyncio, dataclasses, functools, typing
    import torch
    from jaxtyping import Float, jaxtyped
    from torch import Tensor, nn
    from mldbg import contract
    from mldbg.contracts import Probs
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes the modules of a package `shop`, which is forgotten after the test."""

    def written(init: str = "", **modules: str) -> Path:
        folder = tmp_path / "shop"
        folder.mkdir()
        for name, text in {"__init__": init, **modules}.items():
            path = folder.joinpath(*name.split("__in__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        importlib.invalidate_caches()
        return folder

    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    yield written
    assert sys.meta_path == before, "a hook was left behind"
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def imported(package: Callable[..., Path], text: str) -> ModuleType:
    package(goods=dedent(HEAD) + dedent(text))
    with install("shop"):
        return importlib.import_module("shop.goods")


# --- what is checked ---

KINDS = """
    def rows(x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        return x.sum(1)


    async def later(x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        await asyncio.sleep(0)
        return x.sum(1)


    def each(x: Float[Tensor, "n d"]) -> typing.Iterator[Float[Tensor, "d"]]:
        yield from x


    def wrapping(function):
        @functools.wraps(function)
        def around(*args, **kwargs):
            return function(*args, **kwargs)
        return around


    @wrapping
    def wrapped(x: Float[Tensor, "n d"]):
        return x


    @functools.lru_cache
    def cached(x: Float[Tensor, "n d"]):
        return x


    class Net(nn.Module):
        def __init__(self, scale: Float[Tensor, "n d"]):
            super().__init__()
            self.scale = scale

        def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
            return x.sum(1)

        @staticmethod
        def static(x: Float[Tensor, "n d"]):
            return x

        @classmethod
        def of(cls, x: Float[Tensor, "n d"]) -> Net:
            return cls(x)

        @property
        def whole(self) -> Float[Tensor, "n d"]:
            return self.scale

        @whole.setter
        def whole(self, x: Float[Tensor, "n d"]):
            self.scale = x

        @functools.cached_property
        def kept(self) -> Float[Tensor, "n d"]:
            return self.scale

        class Inner:
            def go(self, x: Float[Tensor, "n d"]):
                return x

        def merged(self, other: Net, x: Float[Tensor, "n d"]) -> Net:
            return self


    @dataclasses.dataclass(frozen=True, slots=True)
    class Batch:
        x: Float[Tensor, "n d"]
        y: Float[Tensor, "n"] | None = None

        def joined(self, other: Batch) -> Batch:
            return Batch(self.x + other.x)


    if True:
        def guarded(x: Float[Tensor, "n d"]):
            return x


    def ahead(batch: Late):
        return batch.x


    class Late(typing.NamedTuple):
        x: Float[Tensor, "n d"]


    def unpacked(*, mode: str = "plain", **tensors: Float[Tensor, "n d"]):
        return mode
"""


def set_whole(module: Any, x: torch.Tensor) -> None:
    module.Net(GOOD).whole = x


def get(name: str) -> Callable[[Any, torch.Tensor], object]:
    def got(module: Any, x: torch.Tensor) -> object:
        net = module.Net(GOOD)
        net.scale = x
        return getattr(net, name)

    return got


USES: dict[str, Callable[[Any, torch.Tensor], object]] = {
    "function": lambda m, x: m.rows(x),
    "coroutine": lambda m, x: asyncio.run(m.later(x)),
    "generator": lambda m, x: list(m.each(x)),
    "below a decorator": lambda m, x: m.wrapped(x),
    "below a cache": lambda m, x: m.cached(x),
    "constructor": lambda m, x: m.Net(x),
    "forward": lambda m, x: m.Net(GOOD)(x),
    "static": lambda m, x: m.Net.static(x),
    "class method": lambda m, x: m.Net.of(x),
    "property": get("whole"),
    "setter": set_whole,
    "cached property": get("kept"),
    "class in a class": lambda m, x: m.Net.Inner().go(x),
    "names its own class": lambda m, x: m.Net(GOOD).merged(m.Net(GOOD), x),
    "fields": lambda m, x: m.Batch(x),
    "fields of a class that is defined further down": lambda m, x: m.ahead(m.Late(x)),
    "inside an if": lambda m, x: m.guarded(x),
    "keywords": lambda m, x: m.unpacked(z=x),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "shop_of_kinds.py").write_text(dedent(HEAD) + dedent(KINDS), encoding="utf-8")
    sys.path.insert(0, str(folder))
    with install("shop_of_kinds"):
        yield importlib.import_module("shop_of_kinds")
    sys.path.remove(str(folder))
    del sys.modules["shop_of_kinds"]


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_kind_of_function_is_checked(kinds: ModuleType, use: Callable[[Any, torch.Tensor], object]) -> None:
    use(kinds, GOOD)
    with pytest.raises(ContractError):
        use(kinds, BAD)


def test_what_python_says_of_functions_stays_the_same(kinds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("plain", kinds.__file__ or "")
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "plain", plain)
    spec.loader.exec_module(plain)
    assert set(vars(kinds)) == set(vars(plain))
    for mine, other in ((kinds.rows, plain.rows), (kinds.Net.merged, plain.Net.merged), (kinds.Batch.joined, plain.Batch.joined)):
        assert inspect.signature(mine) == inspect.signature(other)
        assert inspect.getsource(mine) == inspect.getsource(other)
        assert (mine.__name__, mine.__qualname__, mine.__doc__) == (other.__name__, other.__qualname__, other.__doc__)
        assert inspect.unwrap(mine).__code__.co_firstlineno == inspect.unwrap(other).__code__.co_firstlineno
    assert inspect.getsource(kinds.Batch) == inspect.getsource(plain.Batch)
    assert inspect.signature(kinds.Batch) == inspect.signature(plain.Batch)
    assert inspect.iscoroutinefunction(kinds.later)
    assert inspect.isgeneratorfunction(kinds.each)
    assert set(vars(kinds.Net)) == set(vars(plain.Net))


def test_pickles_and_copies(kinds: ModuleType) -> None:
    assert pickle.loads(pickle.dumps(kinds.rows)) is kinds.rows
    net = pickle.loads(pickle.dumps(kinds.Net(GOOD)))
    with pytest.raises(ContractError):
        net(BAD)
    batch = copy.deepcopy(kinds.Batch(GOOD))
    assert torch.equal(batch.joined(batch).x, GOOD)


def test_lines_in_tracebacks_are_those_of_the_file(package: Callable[..., Path]) -> None:
    module = imported(
        package,
        """
        def broken(x: Float[Tensor, "n d"]):
            return x + missing  # here


        @functools.cache
        def decorated(x: Float[Tensor, "n d"]):
            raise RuntimeError(  # there
                "no"
            )
        """,
    )
    source = Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()
    for function, error, mark in ((module.broken, NameError, "# here"), (module.decorated, RuntimeError, "# there")):
        with pytest.raises(error) as caught:
            function(GOOD)
        last = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert (last.filename, mark in source[(last.lineno or 0) - 1]) == (module.__file__, True)


# --- what is left alone ---


def test_what_says_nothing_of_tensors_is_the_very_same(package: Callable[..., Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = imported(
            package,
            """
            SEEN = []

            def seen(function):
                SEEN.append(function)
                return function

            @seen
            def number(x: int, y: list[str], z: typing.Optional[dict[str, float]] = None) -> None: pass; x

            @seen
            def tensor(x: Tensor) -> Tensor: return x

            @seen
            def prose(x: "the input", y: list["of what"]) -> "the output": return x

            @seen
            def raises(x: 1 / 0, y: int[3] = 1) -> typing.Nothing: return x

            @seen
            def unknown(x: Nowhere, y: "Also.nowhere" = None): return x

            class Config:
                @seen
                def copied(self, other: Config) -> Config: return self

            @seen
            def ahead(node: Node) -> Node: return node

            class Node(Config): pass

            @seen
            def open(call: typing.Callable[[int], Node]) -> type[Node]: return call

            class Color(typing.NamedTuple):
                red: Float[Tensor, "n"]

            class Keys(typing.TypedDict):
                red: Float[Tensor, "n"]

            class Protocol(typing.Protocol):
                @seen
                def go(self, x: Float[Tensor, "n"]) -> Float[Tensor, "n"]: ...

            @typing.overload
            def over(x: Float[Tensor, "n"]) -> int: ...
            @typing.overload
            def over(x: Float[Tensor, "n d"]) -> str: ...
            @seen
            @typing.no_type_check
            def over(x: Float[Tensor, "n"]): return 1

            @seen
            @torch.jit.ignore
            def scripted(x: Float[Tensor, "n"]): return 1

            @typing.no_type_check
            class Free:
                @seen
                def go(self, x: Float[Tensor, "n"]): return 1

            def outer():
                def inner(x: Float[Tensor, "n"]): return 1
                return inner
            seen(outer())
            """,
        )
        assert len(module.SEEN) == 13
        for function in module.SEEN:
            assert function.__code__.co_filename == module.__file__
            assert not hasattr(function, "__wrapped__") or function.__name__ == "go"
        assert module.unknown(1) == 1
        assert module.Color(1).red == 1
        assert len(importlib.import_module("typing").get_overloads(module.over)) == 2


def test_contracts_that_are_there_go_first(package: Callable[..., Path]) -> None:
    package(
        checks="from mldbg.contracts import contract as guarded",
        goods=dedent(HEAD)
        + dedent(
            """
            import beartype
            from shop.checks import guarded

            @contract
            def once(x: Probs[Tensor, "n d"]): return x

            @guarded(mode="shapes")
            def shapes(x: Probs[Tensor, "n d"]): return x

            @guarded(mode="off")
            def off(x: Probs[Tensor, "n d"]): return x

            class Net:
                @property
                @guarded(mode="off")
                def whole(self) -> Probs[Tensor, "n d"]: return torch.zeros(1)

                @guarded(mode="off")
                @staticmethod
                def static(x: Probs[Tensor, "n d"]): return x

            @guarded(mode="shapes")
            class Whole:
                def go(self, x: Probs[Tensor, "n d"]): return x

            @guarded
            @dataclasses.dataclass
            class Batch:
                x: Float[Tensor, "n d"]

            @jaxtyped(typechecker=beartype.beartype)
            def typed(x: Float[Tensor, "n d"]): return x

            @jaxtyped(typechecker=beartype.beartype)
            @dataclasses.dataclass
            class Typed:
                x: Float[Tensor, "n d"]
            """
        ),
    )
    with install("shop"):
        module = importlib.import_module("shop.goods")
    assert not hasattr(inspect.unwrap(module.once, stop=lambda f: f is not module.once), "__contract__")
    assert module.once.__contract__.level is None
    module.shapes(GOOD)
    assert module.off.__code__.co_filename == module.__file__
    assert module.Net().whole.shape == (1,)
    assert module.Net.static(BAD) is BAD
    module.Whole().go(GOOD)
    with pytest.raises(ContractError):
        module.Whole().go(BAD)
    assert not hasattr(module.Batch.__init__.__wrapped__, "__wrapped__")  # one layer around what dataclass wrote
    assert not hasattr(module.typed, "__contract__")
    assert not hasattr(module.Typed.__init__, "__checks_fields__")


def test_annotations_that_make_no_sense_are_said_once_and_break_nothing(package: Callable[..., Path]) -> None:
    package(
        goods=dedent(HEAD)
        + dedent(
            """
            from shop import later as module

            def bound(x: Float[Tensor, "n+1"]): return x

            def family(x: Flaot[Tensor, "n"]): return x

            def unknown(x: list[Float[Tensor, "n"]], y: Float[module.Nothing, "n"]): return x

            @dataclasses.dataclass
            class Batch:
                x: Probs[Tensor, ""]

            def fine(x: Float[Tensor, "n d"]): return x
            """
        ),
        later="",
    )
    with install("shop"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        module: Any = importlib.import_module("shop.goods")
        assert [module.unknown(1, 2), module.unknown(1, 2)] == [1, 1]
    assert {one.category for one in said} == {ContractWarning}
    texts = [str(one.message) for one in said]
    assert [text.partition(" is not checked: ")[0] for text in texts] == [
        "shop.goods.bound",
        "shop.goods.family",
        "shop.goods.Batch",
        "shop.goods.unknown",
    ]
    assert all("\n" not in text for text in texts)
    assert module.bound(BAD) is BAD
    assert module.Batch(BAD).x is BAD
    with pytest.raises(ContractError):
        module.fine(BAD)


def test_names_for_type_checkers_only(package: Callable[..., Path]) -> None:
    package(
        batches=dedent(HEAD)
        + dedent(
            """
            from shop import goods

            @dataclasses.dataclass
            class Batch:
                x: typing.Any

            class Pair(typing.NamedTuple):
                x: Float[Tensor, "n d"]
            """
        ),
        goods="""
            from __future__ import annotations
            from typing import TYPE_CHECKING
            from torch import Tensor
            if TYPE_CHECKING:
                from jaxtyping import Float
                from shop.batches import Batch, Pair
                from somewhere import Thing

            def direct(x: Float[Tensor, "n d"]): return x

            def pair(pair: Pair, thing: Thing = None) -> Batch: return pair
        """,
    )
    with install("shop"), warnings.catch_warnings():
        warnings.simplefilter("error")
        module: Any = importlib.import_module("shop.batches")
        assert module.goods.pair(module.Pair(GOOD)).x is GOOD
        for call in (partial(module.goods.direct, BAD), partial(module.goods.pair, module.Pair(BAD))):
            with pytest.raises(ContractError):
                call()


# --- which modules ---


ONE = dedent(HEAD) + "def f(x: Float[Tensor, 'n d']): return x\n"


def is_checked(name: str) -> bool:
    module: Any = importlib.import_module(name)
    try:
        module.f(BAD)
    except ContractError:
        return True
    return False


def test_several_packages_and_their_submodules(package: Callable[..., Path], tmp_path: Path) -> None:
    package(ONE, a=ONE, sub__in____init__=ONE, sub__in__b=ONE)
    for other in ("shop_two", "shopping", "shop_three"):
        (tmp_path / f"{other}.py").write_text(ONE, encoding="utf-8")
    importlib.invalidate_caches()
    with install("shop.sub", "shop_two") as hook:
        found = {name: is_checked(name) for name in ("shop", "shop.a", "shop.sub", "shop.sub.b", "shop_two", "shopping")}
    assert found == {name: name in ("shop.sub", "shop.sub.b", "shop_two") for name in found}
    assert hook.modules == ["shop.sub", "shop.sub.b", "shop_two"]
    assert not is_checked("shop_three")


def test_remove_and_install_again(package: Callable[..., Path]) -> None:
    package(a=ONE, b=ONE, c=ONE)
    hook = install("shop", mode="shapes")
    assert is_checked("shop.a")
    hook.remove()
    hook.remove()
    assert not is_checked("shop.b")
    assert is_checked("shop.a")
    with pytest.warns(ContractWarning, match=r"^install: shop.b: not checked, since it was imported before; install first"):
        hook = install("shop")
    assert is_checked("shop.c")
    module = importlib.reload(importlib.import_module("shop.b"))
    assert is_checked(module.__name__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inner = install("shop")  # everything there has contracts by now
        inner.remove()
    hook.remove()
    assert not hasattr(importlib.reload(module).f, "__contract__")


def test_modules_that_were_imported_before_are_named(package: Callable[..., Path]) -> None:
    package(**dict.fromkeys("abcdefg", ONE))
    for name in "abcdefg":
        importlib.import_module(f"shop.{name}")
    text = "install: shop, shop.a, shop.b, shop.c, shop.d and 3 more: not checked, since they were imported before"
    with pytest.warns(ContractWarning, match=text) as said, install("shop"):
        pass
    assert [one.filename for one in said] == [__file__]


def test_a_package_may_install_its_own(package: Callable[..., Path]) -> None:
    package("from mldbg import contracts\nHOOK = contracts.install(__name__)\nfrom shop import a", a=ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_checked("shop.a")
    importlib.import_module("shop").HOOK.remove()


def test_a_name_that_is_wrong_is_said_at_the_end(package: Callable[..., Path]) -> None:
    text = "install: never checked: no module of shpo or shop.a was imported while the hook was there"
    with pytest.warns(NeverChecked, match=text) as said, install("shpo", "shop.a"):
        pass
    assert [one.filename for one in said] == [__file__]
    package(a=ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contracts.mode("off"):
            install("shpo").remove()
        with pytest.raises(ZeroDivisionError), install("shpo"):
            raise ZeroDivisionError
        with install("shpo", "shop"):
            importlib.import_module("shop.a")


@pytest.mark.parametrize("names", [(), (1,), (torch,), (["shop"],)])
def test_what_is_no_name_is_refused(names: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="install"):
        install(*names)


@pytest.mark.parametrize("name", ["", ".shop", "shop.", "shop/a", "shop a"])
def test_what_names_no_package_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a package"):
        install(name)
    with pytest.raises(ValueError, match="unknown contract mode"):
        install("shop", mode="loud")


def test_modes(package: Callable[..., Path]) -> None:
    text = ONE.replace("Float[Tensor, 'n d']", "Probs[Tensor, 'n d']")
    package(a=text, b=text, c=text)
    with install("shop", mode="shapes"):
        module: Any = importlib.import_module("shop.a")
        module.f(GOOD)
        assert is_checked("shop.a")
    with install("shop.b", mode="off"):
        assert importlib.import_module("shop.b").f.__code__.co_filename.endswith("b.py")
    with contracts.mode("off"), install("shop.c"):
        assert not hasattr(importlib.import_module("shop.c").f, "__contract__")


def test_a_namespace_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("one", "two"):
        (tmp_path / root / "shop_of_all").mkdir(parents=True)
        (tmp_path / root / "shop_of_all" / f"{root}.py").write_text(ONE, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path / root)
    with install("shop_of_all"):
        assert is_checked("shop_of_all.one")
        assert is_checked("shop_of_all.two")


def test_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "packages.zip"
    compiled = py_compile.compile(str(Path(__file__)), cfile=str(tmp_path / "c.pyc"), doraise=True)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("shop_in_zip/__init__.py", "from shop_in_zip import inside")
        packed.writestr("shop_in_zip/inside.py", ONE)
        packed.writestr("shop_in_zip/data.txt", "data")
        packed.write(str(compiled), "shop_in_zip/compiled.pyc")
    monkeypatch.syspath_prepend(archive)
    with install("shop_in_zip") as hook:
        assert is_checked("shop_in_zip.inside")
        module: Any = sys.modules["shop_in_zip.inside"]
        assert "def f" in inspect.getsource(module.f)
        assert importlib.import_module("pkgutil").get_data("shop_in_zip", "data.txt") == b"data"
        with pytest.warns(ContractWarning, match=r"install: shop_in_zip.compiled: not checked, since its source is missing"):
            assert hasattr(importlib.import_module("shop_in_zip.compiled"), "KINDS")
    assert hook.modules == ["shop_in_zip", "shop_in_zip.inside"]


def test_other_loaders_go_first_and_are_named(package: Callable[..., Path]) -> None:
    folder = package(a=ONE, b=ONE)

    class Own(SourceFileLoader):
        pass

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object, target: object = None) -> ModuleSpec | None:
            own = Own(name, str(folder / "a.py"))
            return importlib.util.spec_from_file_location(name, loader=own) if name == "shop.a" else None

    sys.meta_path.insert(0, Finder)
    try:
        with install("shop"):
            with pytest.warns(ContractWarning, match=r"^install: shop.a: not checked, since \S+\.Own loads it$"):
                assert not is_checked("shop.a")
            assert is_checked("shop.b")
    finally:
        sys.meta_path.remove(Finder)


def test_a_file_that_is_no_python(package: Callable[..., Path]) -> None:
    package(a="def f(:\n", b="return 1\n", c="# -*- coding: latin-1 -*-\nX = '\xe9'\n")
    (Path(str(importlib.import_module("shop").__path__[0])) / "c.py").write_bytes(b"# -*- coding: latin-1 -*-\nX = '\xe9'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hook = install("shop")
    with hook:
        for name in "ab":
            with pytest.raises(SyntaxError) as caught:
                importlib.import_module(f"shop.{name}")
            assert (caught.value.filename or "").endswith(f"{name}.py")
        assert importlib.import_module("shop.c").X == "\xe9"


def test_threads_may_import(package: Callable[..., Path]) -> None:
    package(**dict.fromkeys("abcdef", ONE))
    found: list[bool] = []
    with install("shop"):
        threads = [threading.Thread(target=lambda name=name: found.append(is_checked(f"shop.{name}"))) for name in "abcdef"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 6


def test_compiled_code(package: Callable[..., Path]) -> None:
    module = imported(
        package,
        """
        class Net(nn.Module):
            def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
                def inner(y: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
                    return y.sum(1)
                return self.late(inner(x))

            def late(self, x: Float[Tensor, "n"]) -> Net | Float[Tensor, "n"]:
                return x
        """,
    )
    net: Any = torch.compile(module.Net(), backend="eager", fullgraph=True)
    assert net(GOOD).shape == (2,)
    assert isinstance(net, nn.Module)
    with pytest.raises(Exception, match="contract"):
        net(BAD)


# --- in a process of its own ---

MAIN = """
    import sys
    from mldbg import contracts
    if "--install" in sys.argv:
        contracts.install("shop", "shpo")
    from shop import goods
    try:
        goods.f(goods.torch.zeros(2))
        print("let pass")
    except contracts.ContractError:
        print("refused")
"""


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_byte_code_of_the_package_stays_its_own(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "goods.py").write_text(ONE, encoding="utf-8")
    (tmp_path / "main.py").write_text(dedent(MAIN), encoding="utf-8")
    cache = tmp_path / "shop" / "__pycache__"
    hooked = ran(tmp_path, "main.py", "--install")
    assert (hooked.stdout, hooked.stderr) == ("refused\n", "")
    assert not cache.exists()
    assert ran(tmp_path, "main.py").stdout == "let pass\n"
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert len(before) == 2
    assert ran(tmp_path, "main.py", "--install").stdout == "refused\n"
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    assert ran(tmp_path, "main.py").stdout == "let pass\n"


def test_at_the_end_of_the_program(tmp_path: Path) -> None:
    program = "from mldbg import contracts\ncontracts.install('shpo')\n{}\n"
    (tmp_path / "quiet.py").write_text(program.format("1 / 0"), encoding="utf-8")
    (tmp_path / "loud.py").write_text(program.format("print('done')"), encoding="utf-8")
    assert "NeverChecked" not in ran(tmp_path, "quiet.py").stderr
    loud = ran(tmp_path, "loud.py")
    assert loud.stdout == "done\n"
    assert "loud.py:2: NeverChecked: install: never checked: no module of shpo was imported" in loud.stderr
    assert "Traceback" not in loud.stderr


def test_python_m(package: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    main = ONE + "try:\n    f(torch.zeros(2))\nexcept Exception as error:\n    print(type(error).__name__, __name__)\n"
    package("from mldbg import contracts\nHOOK = contracts.install(__name__)", __main__=main)
    runpy.run_module("shop", run_name="__main__", alter_sys=True)
    assert capsys.readouterr().out == "ContractError __main__\n"
    sys.modules["shop"].HOOK.remove()
