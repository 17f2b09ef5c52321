"""`observe`: what a few batches show of a model becomes annotations that hold."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import importlib.util
import itertools
import pickle
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mldbg import contracts
from mldbg.contracts import ContractError, attach, observe
from mldbg.contracts.propose.seen import Seen
from mldbg.operations import dims

HERE = Path(__file__).parent
models: Any = importlib.import_module("contracts.observed_models")  # without annotations, on purpose
MODELS, Gpt, Mlp, Cnn, Tagger, Structured = (
    *(models.MODELS, models.Gpt, models.Mlp),
    *(models.Cnn, models.Tagger, models.Structured),
)
_numbers = itertools.count()


def loaded(path: Path) -> Any:
    """The module in a file, under a name of its own."""
    name = f"observed_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def seen_of(model: nn.Module, *batches: Any) -> Seen:
    with observe(model) as seen:
        for batch in batches:
            model(*batch) if isinstance(batch, tuple) else model(batch)
    return seen


def patched(diff: str, root: Path) -> None:
    """Applies a diff as a user does, by either tool."""
    subprocess.run(["git", "apply", "-p0", "--check", "-"], cwd=root, input=diff.encode(), check=True)
    done = subprocess.run(["patch", "--binary", "-p0"], cwd=root, input=diff.encode(), check=True, capture_output=True)
    assert b"fuzz" not in done.stdout
    assert b"offset" not in done.stdout


@pytest.mark.parametrize("name", MODELS)
def test_what_is_proposed_holds_on_the_same_batches(name: str, tmp_path: Path) -> None:
    model, batches = MODELS[name]()
    with observe(model) as seen:
        for args, kwargs in batches:
            model(*args, **kwargs)
    text = str(seen)
    ast.parse(text)
    assert all(len(note.splitlines()) == 1 for note in seen.notes)
    with warnings.catch_warnings(), contracts.mode("sync"):
        warnings.simplefilter("error")
        handle = attach(model, seen.attach)
        for args, kwargs in batches:
            model(*args, **kwargs)
        assert handle.report().never == ()
        handle.remove()
        (tmp_path / "observed_models.py").write_bytes((HERE / "observed_models.py").read_bytes())
        patched(seen.diff(HERE), tmp_path)
        again, _ = loaded(tmp_path / "observed_models.py").MODELS[name]()
        assert any(hasattr(type(module).forward, "__contract__") for module in again.modules())
        for args, kwargs in batches:
            again(*args, **kwargs)


def test_a_transformer() -> None:
    seen = seen_of(Gpt(), *(args for args, _ in MODELS["gpt"]()[1]))
    assert seen.signatures["Gpt.forward"] == (
        'def forward(self, idx: TokenIds[Tensor, "batch length", below("{self.config.vocab_size}")], '
        'targets: ClassIds[Tensor, "batch length", below("{self.config.vocab_size}"), ignoring(-1)] | None = None, '
        'mask: BoolMask[Tensor, "batch length"] | None = None) '
        '-> tuple[Logits[Tensor, "batch length {self.config.vocab_size}"], ScalarLoss[Tensor, ""] | None]'
    )
    assert seen.signatures["Attention.forward"] == (
        'def forward(self, x: Float[Tensor, "batch length {self.dim}"], mask: BoolMask[Tensor, "batch length"] | None = None) '
        '-> tuple[Float[Tensor, "batch length {self.dim}"], Probs[Tensor, "batch {self.heads} length length"]]'
    )
    assert [pattern for pattern in seen.attach if "blocks" in pattern] == [
        f"blocks.*{path}" for path in ("", ".ln1", ".ln2", ".attention", ".attention.qkv", ".attention.out", ".mlp.0", ".mlp.2")
    ]
    assert "head is the same" not in str(seen), "weights are shared, no module is"


def header(name: str, method: str) -> str:
    model, batches = MODELS[name]()
    with observe(model) as seen:
        for args, kwargs in batches:
            model(*args, **kwargs)
    return seen.signatures[method].removeprefix("def forward(self, ")


SIGNATURES = {
    "cnn: Cnn": """
        image: Float[Tensor, "batch {self.conv1.in_channels} height width"]
        -> LogProbs[Tensor, "batch {self.fc.out_features}"]
    """,
    "square: Cnn": """
        image: Float[Tensor, "batch {self.conv1.in_channels} height width"]
        -> LogProbs[Tensor, "batch {self.fc.out_features}"]
    """,
    "tagger: Tagger": """
        words: TokenIds[Tensor, "batch length", below("{self.embedding.num_embeddings}")], *, state=None
        -> tuple[Probs[Tensor, "batch length {self.out.out_features}"], Float[Tensor, "2 batch {self.lstm.hidden_size}"]]
    """,
    "time first: TimeFirst": """
        x: Float[Tensor, "length batch {self.gru.input_size}"] -> Float[Tensor, "length batch {self.gru.hidden_size}"]
    """,
    "unet: DoubleConv": """
        x: Float[Tensor, "batch {self.conv1.in_channels} height width"]
        -> NonNegative[Tensor, "batch {self.conv1.out_channels} height width"]
    """,
    "unet: Up": """
        x: Float[Tensor, "batch {self.up.in_channels} height width"],
        skip: Float[Tensor, "batch {self.up.out_channels} height2 width2"]
        -> NonNegative[Tensor, "batch {self.up.out_channels} height2 width2"]
    """,
    "vae: Vae": """
        x: Float[Tensor, "batch {self.d}"]
        -> tuple[UnitInterval[Tensor, "batch {self.d}"], Float[Tensor, "batch {self.z}"], Float[Tensor, "batch {self.z}"]]
    """,
    "clip: Clip": """
        image: Float[Tensor, "batch 3 2 2"], text: TokenIds[Tensor, "batch length", below("{self.text.num_embeddings}")]
        -> Float[Tensor, "batch batch"]
    """,
    "graph: Graph": """
        x: Float[Tensor, "batch {self.lin.in_features}"], edges: Int[Tensor, "2 length"]
        -> Float[Tensor, "batch {self.lin.out_features}"]
    """,
    "ranks: Ranks": """
        x: Float[Tensor, "batch length {self.lin.in_features}"] -> Float[Tensor, "batch length {self.lin.out_features}"]
    """,
    "one batch: Tagger": """
        words: TokenIds[Tensor, "batch 9", below("{self.embedding.num_embeddings}")], *, state=None
        -> tuple[Probs[Tensor, "batch 9 {self.out.out_features}"], Float[Tensor, "2 _ {self.lstm.hidden_size}"]]
    """,
    "gpt, inference: Block": """
        x: Float[Tensor, "batch length {self.attention.dim}"], mask: BoolMask[Tensor, "batch length"] | None = None
        -> Float[Tensor, "batch length {self.attention.dim}"]
    """,
    "several: Several": """
        x: Float[Tensor, "batch {self.mix.in_features}"], *more: Float[Tensor, "batch {self.mix.in_features}"], scale=2.0,
        flags: Bool[Tensor, "batch"] | None = None, **extra: Float[Tensor, "batch {self.mix.in_features}"]
        -> tuple[dict[str, Float[Tensor, "batch {self.mix.out_features}"]],
        list[Float[Tensor, "batch {self.mix.out_features}"]], int]
    """,
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signatures(case: str) -> None:
    name, _, cls = case.partition(": ")
    model, batches = MODELS[name]()
    with observe(model) as seen:
        for args, kwargs in batches:
            model(*args, **kwargs)
    parameters, _, result = " ".join(SIGNATURES[case].split()).partition(" -> ")
    assert seen.signatures[f"{cls}.forward"] == f"def forward(self, {parameters}) -> {result}"


def test_two_sequences_keep_their_names_apart_everywhere() -> None:
    model, batches = MODELS["translator"]()
    seen = seen_of(model, *(args for args, _ in batches))
    promised = seen.attach["transformer.decoder.layers.0.multihead_attn"]
    shapes = {slot: annotation.dim_str for slot, annotation in promised.items() if slot != "return"}
    assert shapes == {
        "query": "batch tgt_length {self.embed_dim}",
        "key": "batch src_length {self.embed_dim}",
        "value": "batch src_length {self.embed_dim}",
    }


def test_what_is_proposed_refuses_what_is_wrong() -> None:
    model = Gpt()
    attach(model, seen_of(model, *(args for args, _ in MODELS["gpt"]()[1])).attach)
    idx = torch.randint(50, (2, 5))
    with pytest.raises(ContractError, match="targets"):
        model(idx, torch.randint(50, (2, 4)))
    with contracts.mode("sync"), pytest.raises(ContractError, match="an id of 50"):
        model(torch.full((2, 5), 50))


def test_meanings_need_proof() -> None:
    class Regression(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Any:
            return self.out(x)

    model = Regression()
    with observe(model) as seen:
        for rows in (3, 5):
            functional.mse_loss(model(torch.randn(rows, 4)), torch.randn(rows, 1))
    assert "Logits" not in str(seen)
    with observe(model) as seen:
        for rows in (3, 5):
            functional.binary_cross_entropy_with_logits(model(torch.randn(rows, 4)), torch.rand(rows, 1))
    assert '"return": Logits[Tensor, "batch {self.out_features}"]' in str(seen)


def test_a_loss_after_the_model_names_its_logits_and_targets() -> None:
    model, criterion = Mlp(), nn.CrossEntropyLoss()
    whole = nn.ModuleDict({"model": model, "criterion": criterion})
    with observe(whole) as seen:
        for rows in (4, 6):
            criterion(model(torch.randn(rows, 12)), torch.randint(5, (rows,)))
    assert "no loss was run" not in str(seen)
    texts = str(seen)
    assert '"return": Logits[Tensor, "batch {self.net[-1].out_features}"]' in texts
    assert '"target": ClassIds[Tensor, "batch", below(5)]' in texts


def test_nothing_changes() -> None:
    def step(watched: bool) -> tuple[Any, ...]:
        torch.manual_seed(3)
        model: Any = Gpt()
        model.blocks[0].mlp.append(nn.Dropout(0.5))
        idx = torch.randint(50, (4, 9))
        if watched:
            with observe(model):
                logits, loss = model(idx, idx)
                loss.backward()
        else:
            logits, loss = model(idx, idx)
            loss.backward()
        return logits, torch.get_rng_state(), *(each.grad for each in model.parameters())

    for one, other in zip(step(True), step(False), strict=True):
        assert torch.equal(one, other)


def hooks(model: nn.Module) -> list[Any]:
    return [hook for each in model.modules() for hook in (*each._forward_hooks, *each._forward_pre_hooks)]


def test_everything_is_taken_off_whatever_happens() -> None:
    model = Gpt()
    with contextlib.suppress(IndexError), observe(model) as seen:
        model(torch.randint(50, (2, 8)))
        model(torch.randint(50, (3, 80)))  # longer than the table of positions
    assert not hooks(model)
    assert torch._C._len_torch_function_stack() == 0
    assert any("the block has failed" in note for note in seen.notes)
    assert seen.attach[""]["idx"] is not None
    with pytest.raises(KeyboardInterrupt), observe(model):
        raise KeyboardInterrupt
    assert not hooks(model)


def test_copies_that_are_made_inside_work_on_and_are_not_watched_afterwards() -> None:
    model, idx = Gpt(), torch.randint(50, (2, 8))
    with observe(model) as seen:
        model(idx)
        copied, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    before = str(seen)
    for each in (copied, pickled):
        each(torch.randint(50, (3, 9)))
    assert str(seen) == before


def test_the_text_is_the_same_each_time() -> None:
    def text() -> str:
        torch.manual_seed(0)
        model, batches = MODELS["translator"]()
        seen = seen_of(model, *(args for args, _ in batches))
        return f"{seen}{seen.diff(HERE)}"

    assert text() == text()


# --- what is said ---


def notes(model: nn.Module, *batches: Any) -> str:
    return "\n".join(seen_of(model, *batches).notes)


def test_batches_that_tell_nothing_apart() -> None:
    assert "only 1 batch" in notes(Mlp(), torch.randn(4, 12))
    assert "2 batches, all of the same sizes" in notes(Mlp(), torch.randn(4, 12), torch.randn(4, 12))
    square = notes(Cnn(), torch.randn(4, 3, 16, 16), torch.randn(3, 3, 12, 12))
    assert "height and width were equal in all batches" in square
    assert "the first axis was 4 in all batches" in notes(Cnn(), torch.randn(4, 3, 16, 18), torch.randn(4, 3, 12, 10))
    assert notes(Cnn(), torch.randn(4, 3, 16, 18), torch.randn(3, 3, 12, 10)) == ""
    words = torch.ones(4, 9, dtype=torch.long)
    assert "sizes that never changed are numbers (2, 9, 48)" in notes(Tagger(), words, words[:3])


def test_axes_that_cannot_be_told_apart_promise_less() -> None:
    model, batches = MODELS["gpt, b == t"]()
    seen = seen_of(model, *(args for args, _ in batches))
    assert "batch and length were equal in all batches" in str(seen)
    attach(model, seen.attach)
    model(torch.randint(50, (3, 7)))  # a batch in which they differ


def test_modules_that_no_hook_sees() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head: Any
            self.inner, self.head, self.spare, self.again = Mlp(), nn.Linear(5, 2), nn.Linear(2, 2), nn.ReLU()
            self.twice = self.again

        def forward(self, x: Tensor) -> Any:
            return self.again(self.head.forward(self.inner.forward(x)))

    said = notes(Outer(), torch.randn(4, 12), torch.randn(3, 12))
    assert "used but never called (by .forward(...), or through parts or weights alone), so not seen: inner, head" in said
    assert "never called: spare" in said
    assert "again is the same module as twice" in said


def test_models_that_are_wrapped() -> None:
    compiled: Any = torch.compile(Mlp(), backend="eager")
    compiled(torch.randn(2, 12))
    seen = seen_of(compiled, torch.randn(4, 12), torch.randn(3, 12))
    assert "OptimizedModule only wraps its model: paths begin with _orig_mod" in str(seen)
    assert list(seen.attach) == ["_orig_mod", "_orig_mod.net.0", "_orig_mod.net.3"]
    parallel = nn.DataParallel(Mlp())
    assert next(iter(seen_of(parallel, torch.randn(4, 12)).attach)) == "module"
    jit: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and in use
        scripted: Any = jit.trace(nn.Linear(3, 2), torch.randn(4, 3))
    seen = seen_of(scripted, torch.randn(4, 3))
    assert seen.notes == ("not seen, since TorchScript runs without hooks: the model itself",)
    assert (seen.attach, seen.signatures, seen.diff()) == ({}, {}, "")


def test_a_model_that_is_not_called() -> None:
    with observe(Mlp()) as seen:
        pass
    assert seen.notes == ("the model was not called in the block, so there is nothing to propose",)
    ast.parse(str(seen))


def test_a_dataclass_is_annotated_where_it_is_defined() -> None:
    seen = seen_of(Structured(), torch.randn(4, 6), torch.randn(3, 6))
    assert any(
        note.startswith("Structured.return is a Output, whose fields may be annotated: logits: Float") for note in seen.notes
    )
    assert seen.signatures["Structured.forward"].endswith("-> Output")


def test_what_is_no_module() -> None:
    for wrong in (Mlp, 3, None):
        with pytest.raises(TypeError, match=r"^observe: a model must be a torch.nn.Module, not "):
            observe(wrong)  # type: ignore[arg-type]


def test_code_without_a_file_is_only_text() -> None:
    names: dict[str, Any] = {"nn": nn}
    exec("class Typed(nn.Module):\n    def forward(self, x): return x * 2\n", names)
    seen = seen_of(names["Typed"](), torch.randn(4, 2), torch.randn(3, 2))
    assert seen.signatures == {"Typed.forward": 'def forward(self, x: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]'}
    assert seen.diff() == ""
    assert "Typed.forward: its source is in no UTF-8 file, so there is no diff for it" in seen.notes


def test_a_forward_that_is_a_lambda_or_replaced_is_promised_by_attach_only() -> None:
    class Quick(nn.Module):
        forward = lambda self, x: x + 1  # noqa: E731

    model = nn.Sequential(Quick(), models.Lambda(torch.relu))
    vars(model[1])["forward"] = torch.tanh
    seen = seen_of(model[0], torch.randn(4, 2), torch.randn(3, 2))
    assert "Quick.forward is no function with a header; it is promised by attach only" in seen.notes
    assert list(seen.attach) == [""]
    assert "the parameters of its forward cannot be read: 1" in notes(model, torch.randn(2, 2), torch.randn(3, 2))
    vars(model[1])["forward"] = lambda x: x.tanh()
    assert "1: its forward was replaced by hand" in notes(model, torch.randn(2, 2), torch.randn(3, 2))


# --- sources of many kinds ---

BODY = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 4)

    {}
"""

HEADERS = {
    "plain": "def forward(self, x): return self.lin(x)",
    "comment": "def forward(self, x):  # a comment, (with parentheses)\n        return self.lin(x)",
    "lines": "def forward(\n        self,\n        x,  # the input\n    ):\n        return self.lin(x)",
    "hint": "def forward(self, x: torch.Tensor) -> torch.Tensor:\n        return self.lin(x)",
    "optional": "def forward(self, x: torch.Tensor, y: 'torch.Tensor | None' = None):\n        return self.lin(x)",
    "decorated": "@torch.no_grad()\n    def forward(self, x):\n        return self.lin(x)",
    "default": "def forward(self, x, y=None, *, z = (1, 2)):\n        return self.lin(x)",
    "strange": "def forward(self, x, s='a),:', /, *, t={'a': lambda q: q}) :\n        return self.lin(x)",
    "unicode": "def forward(self, x, größe='é'):\n        return self.lin(x)",
    "nested": "class Inner: pass\n    def forward(self, x):\n        def forward(self, x): return x\n        return self.lin(x)",
}

IMPORTS = {
    "usual": "import torch\nfrom torch import nn, Tensor\n",
    "other names": "import torch as th\nimport torch\nimport torch.nn as nn\n",
    "taken": "import torch\nfrom torch import nn\n\nFloat = float\n\n\ndef contract(x):\n    return x\n",
    "docstring": '"""Doc."""\n\nfrom __future__ import annotations\n\nimport torch, torch.nn as nn\nimport typing\n',
    "there": "from jaxtyping import Bool, Float\nfrom mldbg import contract\nimport torch\nfrom torch import Tensor, nn\n",
    "in brackets": "import torch\nfrom torch import (\n    nn,\n)\nfrom jaxtyping import (\n    Int,\n)\n",
    "modules": "import jaxtyping\nimport torch\nfrom torch import nn\nfrom mldbg import contracts\n",
}


def written(path: Path, text: str) -> Any:
    path.write_bytes(text.encode())
    return loaded(path)


@pytest.mark.parametrize(
    ("header", "imports"), [*((each, "usual") for each in HEADERS), *(("lines", each) for each in IMPORTS if each != "usual")]
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_diff_touches_nothing_else(tmp_path: Path, header: str, imports: str, ends: str) -> None:
    text = (IMPORTS[imports] + "\n# keep  me\nodd = [1,2,\n  3]\n" + BODY.format(HEADERS[header])).rstrip().replace("\n", ends)
    path = tmp_path / "net.py"
    model = written(path, text).Net()
    seen = seen_of(model, torch.randn(3, 6), torch.randn(5, 6))
    patched(seen.diff(tmp_path), tmp_path)
    after = path.read_bytes().decode()
    assert after.count("\r\n") == (after.count("\n") if ends == "\r\n" else 0)
    kept = [
        line for line in text.splitlines() if not any(word in line for word in ("import", "def forward", "# the input", "    ):"))
    ]
    lines = iter(after.splitlines())
    assert all(line in lines for line in kept), after
    again = loaded(path).Net()
    assert hasattr(type(again).forward, "__contract__")
    again(torch.randn(3, 6))
    with pytest.raises(ContractError):
        again(torch.randn(3, 2, 6))
    assert seen_of(again, torch.randn(3, 6), torch.randn(5, 6)).diff(tmp_path) == ""


PARTLY = """
from jaxtyping import Float
from torch import Tensor, nn

from mldbg.contracts import contract


class Base(nn.Module):
    def forward(self, x, y: Float[Tensor, "n d"]):
        return x @ y.T


class One(Base): ...


class Two(Base):
    def forward(self, x: Float[Tensor, "a b c"], y):
        return super().forward(x, y)


class Three(nn.Module):
    @contract
    def forward(self, x: Float[Tensor, "rows cols"], y):
        return x + y
"""


def test_annotations_that_are_there_stay_and_give_their_names(tmp_path: Path) -> None:
    module = written(tmp_path / "partly.py", PARTLY)
    batches = (torch.randn(3, 6), torch.randn(5, 6)), (torch.randn(4, 7), torch.randn(2, 7))
    seen = seen_of(module.One(), *batches)
    assert seen.signatures == {
        "Base.forward": 'def forward(self, x: Float[Tensor, "batch d"], y: Float[Tensor, "n d"]) -> Float[Tensor, "batch n"]'
    }
    assert seen.attach[""]["return"].dim_str == "batch n"
    seen = seen_of(module.Two(), *batches)
    assert "Two.forward breaks an annotation that it has" in str(seen)
    assert "Two" not in seen.diff(tmp_path)
    seen = seen_of(module.Three(), (torch.randn(3, 6), torch.randn(3, 6)), (torch.randn(4, 7), torch.randn(4, 7)))
    assert seen.signatures["Three.forward"].endswith('y: Float[Tensor, "rows cols"]) -> Float[Tensor, "rows cols"]')
    patched(seen.diff(tmp_path), tmp_path)
    assert (tmp_path / "partly.py").read_text().count("@contract") == 1
    loaded(tmp_path / "partly.py").Three()(*batches[0][:1] * 2)


def test_a_file_that_has_changed_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    text = IMPORTS["usual"] + BODY.format(HEADERS["comment"])
    model = written(path, text).Net()
    path.write_text("\n" + text)
    seen = seen_of(model, torch.randn(3, 6), torch.randn(5, 6))
    assert seen.diff(tmp_path) == ""
    assert "Net.forward: net.py has changed since it was loaded, so there is no diff for it" in seen.notes


def test_a_long_header_gets_a_line_for_each_parameter(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    wide = "def forward(self, first_input, second_input=None, *, third='(,', **others) -> 'torch.Tensor':"
    wide += "\n        return self.lin(first_input)"
    seen = seen_of(written(path, IMPORTS["usual"] + BODY.format(wide)).Net(), torch.randn(3, 6), torch.randn(5, 6))
    patched(seen.diff(tmp_path), tmp_path)
    assert textwrap.dedent("""\
            @contract
            def forward(
                self,
                first_input: Float[Tensor, "batch {self.lin.in_features}"],
                second_input=None,
                *,
                third='(,',
                **others
            ) -> Float[Tensor, "batch {self.lin.out_features}"]:
                return self.lin(first_input)
    """) in textwrap.dedent(path.read_text().partition("self.lin = nn.Linear(6, 4)\n\n")[2])


def test_a_script_annotates_itself(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    run = """
if __name__ == "__main__":
    from mldbg import contracts
    model = Net()
    with contracts.observe(model) as seen:
        model(torch.randn(3, 6))
        model(torch.randn(5, 6))
    print(seen.diff(), end="")
"""
    path.write_text(IMPORTS["usual"] + BODY.format(HEADERS["plain"]) + run)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    patched(done.stdout, tmp_path)
    assert "@contract" in path.read_text()
    again = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == ("", "")


@pytest.fixture
def _one_process() -> Iterator[None]:
    dist: Any = torch.distributed
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("_one_process")
def test_a_model_under_distributed_data_parallel() -> None:
    model = nn.parallel.DistributedDataParallel(Mlp())
    seen = seen_of(model, torch.randn(4, 12), torch.randn(3, 12))
    assert "DistributedDataParallel only wraps its model: paths begin with module" in str(seen)
    handle = attach(model, seen.attach)
    model(torch.randn(4, 12))
    handle.remove()


def test_what_is_proposed_is_compiled_in_one_graph(tmp_path: Path) -> None:
    model, batches = MODELS["gpt"]()
    seen = seen_of(model, *(args for args, _ in batches))
    (tmp_path / "observed_models.py").write_bytes((HERE / "observed_models.py").read_bytes())
    patched(seen.diff(HERE), tmp_path)
    dims._functions.clear()  # as in a new process
    compiled: Any = torch.compile(loaded(tmp_path / "observed_models.py").Gpt(), backend="eager", fullgraph=True)
    for args, _ in batches:
        assert compiled(*args)[0].shape == (*args[0].shape, 50)
