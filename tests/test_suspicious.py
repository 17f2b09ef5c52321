"""What holds only in some branch is in the group suspicious: shown to those who ask for it, with the branch in its path."""

from __future__ import annotations

from pathlib import Path

import pytest

import mldbg.lint.rules
from mldbg.lint import registry, run, worlds
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Supposition
from mldbg.lint.interpret.registries import MOST_MODULES
from mldbg.lint.interpret.value import Among, Option, literal
from mldbg.lint.run import Task

RULES = tuple(registry.built_in(mldbg.lint.rules))
NETS = """
import torch
import torch.nn.functional as F
from torch import nn

class Shares(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.head(self.drop(x)).softmax(1)

class Scores(Shares):
    def forward(self, x):
        return self.head(x)
"""


def found(code: str, *select: str, ignore: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    task = Task(Config(root=Path("missing")), registry.selected(RULES, select, ignore), RULES, ignore, select)
    return run.check_source(Source("example.py", None, (NETS + code).encode()), task).findings


CHOSEN = {
    "if": """
def step(flag, x, y):
    if flag:
        net = Shares()
    else:
        net = Scores()
    return F.cross_entropy(net(x), y)
""",
    "replaced": """
def step(path, x, y):
    net = Shares()
    if path:
        net = torch.load(path)
    return F.cross_entropy(net(x), y)
""",
    "default": """
def step(x, y, criterion=None):
    criterion = criterion or nn.CrossEntropyLoss()
    return criterion(Shares()(x), y)
""",
    "table": """
def step(name, x, y):
    return F.cross_entropy({"a": Shares, "b": Scores}[name]()(x), y)
""",
    "table with a default": """
def step(name, x, y):
    return F.cross_entropy({"a": Shares}.get(name, Scores)()(x), y)
""",
    "layers": """
def step(flag, x, y):
    layers = [nn.Linear(8, 3)]
    if flag:
        layers.append(nn.Softmax(1))
    return F.cross_entropy(nn.Sequential(*layers)(x), y)
""",
    "tensor": """
def step(flag, x, y):
    out = Scores()(x)
    if flag:
        out = out.softmax(1)
    return F.cross_entropy(out, y)
""",
    "activation": """
def step(name, x, y):
    act = {"soft": nn.Softmax(1), "none": nn.Identity()}[name]
    return F.cross_entropy(act(x), y)
""",
    "attribute": """
class Learner:
    def __init__(self, soft):
        self.net = Shares() if soft else Scores()

    def step(self, x, y):
        return F.cross_entropy(self.net(x), y)
""",
    "mode": """
def fit(flag, loader, epochs):
    net = Shares() if flag else Scores()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.nll_loss(net(x).log(), y).backward()
            optimizer.step()
        net.eval()
""",
}


@pytest.mark.parametrize("code", CHOSEN.values(), ids=CHOSEN)
def test_a_branch_that_is_wrong_is_suspicious(code: str) -> None:
    [finding] = [one for one in found(code, "ALL") if one.group is Group.SUSPICIOUS]
    assert finding.steps[0].text.startswith("supposing that ")
    assert finding.fix is None
    assert found(code) == ()


def test_the_group_and_the_rule_show_it() -> None:
    code = CHOSEN["if"]
    assert (
        found(code, "suspicious") == found(code, "softmax-before-cross-entropy") == found(code, "correctness", "suspicious") != ()
    )
    assert found(code, "correctness") == ()
    assert found(code, "ALL", ignore=("suspicious",)) == ()
    assert found(code, "suspicious", ignore=("softmax-before-cross-entropy",)) == ()


def test_what_is_certain_is_not_shown_as_suspicious() -> None:
    code = "def step(x, y):\n    return F.cross_entropy(Shares()(x), y)\n"
    assert found(code, "suspicious") == ()
    assert [finding.group for finding in found(code, "suspicious", "correctness")] == [Group.CORRECTNESS]


def test_the_path_says_which_branch() -> None:
    [finding] = found(CHOSEN["table"], "suspicious")
    assert finding.steps[0].text == "supposing that it is 'a'"


def test_a_suppression_of_it_is_in_use() -> None:
    comment = "  # mldebug: allow[softmax-before-cross-entropy] only for the ablation"
    code = CHOSEN["tensor"].replace("(out, y)\n", f"(out, y){comment}\n")
    assert found(code, "correctness") == found(code, "suspicious") == ()


TOGETHER = {
    "in one branch": """
def step(flag, x, y):
    if flag:
        net, criterion = Scores(), nn.CrossEntropyLoss()
    else:
        net, criterion = Shares(), nn.MSELoss()
    return criterion(net(x), y)
""",
    "in two places": """
def step(args, x, y):
    net = Shares() if args.loss == "mse" else Scores()
    criterion = nn.MSELoss() if args.loss == "mse" else nn.CrossEntropyLoss()
    return criterion(net(x), y)
""",
    "by three names": """
def net_of(kind):
    if kind == "mse":
        return Shares()
    elif kind == "ce":
        return Scores()
    return Scores()

def loss_of(kind):
    if kind == "ce":
        return nn.CrossEntropyLoss()
    return nn.MSELoss()

def step(kind, x, y):
    return loss_of(kind)(net_of(kind)(x), y)
""",
    "decided further down": """
def step(flag, x, y):
    net = Shares() if flag else Scores()
    out = net(x)
    if flag:
        return F.mse_loss(out, y)
    return F.cross_entropy(out, y)
""",
    "in an object": """
class Learner:
    def __init__(self, soft):
        self.net = Shares() if soft else Scores()
        self.criterion = nn.MSELoss() if soft else nn.CrossEntropyLoss()

    def step(self, x, y):
        return self.criterion(self.net(x), y)
""",
    "as a pair": """
def pair_of(soft):
    if soft:
        return Shares(), nn.MSELoss()
    return Scores(), nn.CrossEntropyLoss()

def step(soft, x, y):
    net, criterion = pair_of(soft)
    return criterion(net(x), y)
""",
    "by the mode": """
class Both(Shares):
    def forward(self, x):
        out = self.head(x)
        return out if self.training else out.softmax(1)

def step(net: Both, x, y):
    return F.cross_entropy(net(x), y)
""",
}


@pytest.mark.parametrize("code", TOGETHER.values(), ids=TOGETHER)
def test_a_pair_that_never_meets_is_not_reported(code: str) -> None:
    assert found(code, "ALL") == ()


# --- what a program does with its default options ---

COMMAND = """
import argparse

def build(name):
    if name == "shares":
        return Shares()
    if name == "scores":
        return Scores()
    raise ValueError(name)

def main(x, y):
    parser = argparse.ArgumentParser()
    parser.add_argument({option})
    args = parser.parse_args()
    return F.cross_entropy({net}(x), y)
"""


@pytest.mark.parametrize(
    ("option", "net", "group"),
    [
        ('"-n", "--the-net", default="shares"', "build(args.the_net)", Group.CORRECTNESS),
        ('"--the-net", default="scores"', "build(args.the_net)", Group.SUSPICIOUS),
        ('"--the-net", choices=["shares", "scores"]', "build(args.the_net)", Group.SUSPICIOUS),
        ('"--name", dest="the_net", default="shares"', "build(args.the_net)", Group.CORRECTNESS),
        ('"--raw", action="store_true"', "(Scores() if args.raw else Shares())", Group.CORRECTNESS),
        ('"--raw", action="store_false"', "(Scores() if args.raw else Shares())", Group.SUSPICIOUS),
    ],
)
def test_the_default_of_an_option_decides(option: str, net: str, group: Group) -> None:
    code = COMMAND.format(option=option, net=net)
    (finding,) = found(code, "softmax-before-cross-entropy")
    assert finding.group is group
    assert finding.fix is None
    said = any(step.text.startswith("by default this is") for step in finding.steps)
    assert said is (group is Group.CORRECTNESS)
    assert len(found(code)) == (group is Group.CORRECTNESS)


def test_what_depends_on_no_test_is_not_usual() -> None:
    option = Option(literal(1))
    among = Among((option, Option(literal(2))), frozenset())
    assert not worlds._is_usual((Supposition(among, option),))


# --- the only network around ---

ENGINE = """
import torch
from torch import nn

class Trainer:
    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer
        self.criterion = nn.CrossEntropyLoss()

    def epoch(self, loader):
        for x, y in loader:
            self.optimizer.zero_grad()
            self.criterion(self.model(x), y).backward()
            self.optimizer.step()

def step(net, x, y):
    return nn.functional.cross_entropy(net(x), y)
"""
NETWORK = """
from torch import nn

class Block(nn.Module):
    def forward(self, x):
        return x.relu()

class Shares(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.block(x)).softmax(1)
"""


def found_in(folder: Path, **files: str) -> list[tuple[str, Group, str]]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    wanted = ("softmax-before-cross-entropy",)
    task = Task(Config(root=folder), registry.selected(RULES, wanted, ()), RULES, (), wanted)
    results = [run.check_source(source_of(folder / f"{name}.py"), task) for name in files]
    return sorted({(each.rule, each.group, each.steps[0].text) for result in results for each in result.findings})


def source_of(path: Path) -> Source:
    return Source(str(path), path, path.read_bytes())


SUPPOSED = [("softmax-before-cross-entropy", Group.SUSPICIOUS, "supposing that the model is `Shares`")]


def test_a_model_from_nobody_is_supposed_to_be_the_only_network(tmp_path: Path) -> None:
    assert found_in(tmp_path, engine=ENGINE, network=NETWORK) == SUPPOSED


@pytest.mark.parametrize(
    "more",
    [
        NETWORK.replace("Shares", "Other"),
        "from network import Shares\n\nclass Heir(Shares):\n    def forward(self, x):\n        return self.head(x)\n",
    ],
)
def test_where_it_may_be_another_one_nothing_is_supposed(tmp_path: Path, more: str) -> None:
    assert found_in(tmp_path, engine=ENGINE, network=NETWORK, more=more) == []


def test_a_loss_is_not_the_network(tmp_path: Path) -> None:
    loss = "from torch import nn\n\nclass FocalLoss(nn.Module):\n    def forward(self, x, y):\n        return x.mean()\n"
    assert found_in(tmp_path, engine=ENGINE, network=NETWORK, loss=loss) == SUPPOSED


def test_what_is_certain_is_not_supposed_besides(tmp_path: Path) -> None:
    main = ENGINE + "\n\nfrom network import Shares\n\ndef main(x, y):\n    return step(Shares(), x, y)\n"
    found = found_in(tmp_path, main=main, network=NETWORK)
    assert [group for _, group, _ in found] == [Group.CORRECTNESS, Group.SUSPICIOUS]  # `step` and the trainer


def test_of_a_large_program_nobody_knows_what_is_registered(tmp_path: Path) -> None:
    registry_text = "KINDS = {}\n\ndef register(cls):\n    KINDS[cls.__name__] = cls\n    return cls\n"
    shares = NETWORK.replace("class Shares", "@register\nclass Shares").replace(
        "import nn\n", "import nn\nfrom kinds import register\n"
    )
    imports = "".join(f"import part{number}\n" for number in range(MOST_MODULES + 1))
    step = "import torch.nn.functional as F\n\ndef step(name, x, y):\n    return F.cross_entropy(KINDS[name]()(x), y)\n"
    parts = {f"part{number}": "" for number in range(MOST_MODULES + 1)}
    (tmp_path / "kinds.py").write_text(registry_text)
    main = f"from kinds import KINDS\nimport shares\n{step}"
    known = found_in(tmp_path, main=main, shares=shares)
    assert [group for _, group, _ in known] == [Group.CORRECTNESS]
    assert found_in(tmp_path, main=imports + main, shares=shares, **parts) == []


# --- labels of which only the name is known ---

COLUMN = """
from torch.utils.data import DataLoader, TensorDataset

def fit(frame, y, device):
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1)).to(device)
    x = torch.tensor(frame.values, dtype=torch.float32)
    {made}
    return nn.MSELoss()({prediction}, {target})
"""
AS_ONE_COLUMN = {
    "to_numpy": ("t = torch.tensor(y.to_numpy(), dtype=torch.float32)", "net(x)", "t"),
    "values": ("t = torch.tensor(y.values).float().to(device)", "net(x)", "t"),
    "list": ("t = torch.FloatTensor(y.astype(float).tolist())", "net(x)", "t"),
    "loader": (
        "loader = DataLoader(TensorDataset(x, torch.tensor(y)), 32)",
        "net(next(iter(loader))[0])",
        "next(iter(loader))[1]",
    ),
}
AS_TABLE = {
    "view": ("t = torch.tensor(y.values).float().view(-1, 1)", "net(x)", "t"),
    "reshape": ("t = torch.tensor(y.values.reshape(-1, 1))", "net(x)", "t"),
    "unsqueeze": ("t = torch.tensor(y).unsqueeze(1)", "net(x)", "t"),
    "squeezed prediction": ("t = torch.tensor(y)", "net(x).squeeze(-1)", "t"),
    "like the prediction": ("t = torch.tensor(y).view_as(net(x))", "net(x)", "t"),
    "stack": ("t = torch.stack([torch.tensor(y)], dim=1)", "net(x)", "t"),
    "another name": ("t = torch.tensor(frame.values)", "net(x)", "t"),
}


@pytest.mark.parametrize(("made", "prediction", "target"), AS_ONE_COLUMN.values(), ids=AS_ONE_COLUMN)
def test_labels_are_supposed_to_be_one_column(made: str, prediction: str, target: str) -> None:
    code = COLUMN.format(made=made, prediction=prediction, target=target)
    (finding,) = found(code, "suspicious")
    assert finding.rule == "broadcast-loss"
    assert any("supposing that `y` is one column" in step.text for step in finding.steps)
    assert found(code) == ()


@pytest.mark.parametrize(("made", "prediction", "target"), AS_TABLE.values(), ids=AS_TABLE)
def test_labels_with_an_axis_of_their_own_are_compared_one_by_one(made: str, prediction: str, target: str) -> None:
    assert found(COLUMN.format(made=made, prediction=prediction, target=target), "suspicious") == ()


# --- test data of which only the name is known, or by which nothing is decided that is seen ---

FIXTURES = Path(__file__).parent.parent / "fixtures" / "lint"


@pytest.mark.parametrize(
    ("case", "rule", "line"),
    [
        ("good_called_test", "test-as-validation", 39),
        ("good_watched", "test-as-validation", 7),
        ("good_no_axis_for_labels", "argmax-over-batch", 13),
        ("good_fixed_values", "tensor-not-registered", 9),
    ],
)
def test_what_only_a_name_says_is_suspicious(case: str, rule: str, line: int) -> None:
    task = Task(Config(root=Path("missing")), registry.selected(RULES, (rule,), ()), RULES, (), (rule,))
    (finding,) = run.check_source(source_of(FIXTURES / rule / f"{case}.py"), task).findings
    assert (finding.span.line, finding.group) == (line, Group.SUSPICIOUS)
