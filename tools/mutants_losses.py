"""Bugs about losses and activations, planted in right programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst
from mutants_places import Change, Program, Site, change, mutator

FUNCTIONS = {
    "CrossEntropyLoss": "cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "BCELoss": "binary_cross_entropy",
    "NLLLoss": "nll_loss",
    "MSELoss": "mse_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "PoissonNLLLoss": "poisson_nll_loss",
    "CTCLoss": "ctc_loss",
}


def tail(code: str) -> str:
    """The last name of a dotted one."""
    return code.rpartition(".")[2]


def makers(program: Program, loss: str) -> list[Site]:
    """Where an object of a loss is made."""
    return list(program.calls(rf"(.*\.)?{loss}"))


def loss_calls(program: Program, *losses: str) -> list[Site]:
    """Where a loss is computed, by a function or by an object of a class, which has the same name everywhere."""
    functions = {FUNCTIONS[loss] for loss in losses}
    objects = {tail(made.target) for loss in losses for made in makers(program, loss) if made.target}
    return [
        call
        for call in program.sites(cst.Call)
        if len(call.args) >= 2 and tail(call.func) in functions | objects and not call.target.endswith("optimizer")
    ]


def trained(program: Program, *losses: str) -> list[Site]:
    """The loss computations whose result is differentiated by the statement of its function that says so."""
    return [call for call in loss_calls(program, *losses) if re.search(r"\.backward\(\)", call.scope) and is_loss(call)]


def is_loss(call: Site) -> bool:
    """Whether what is assigned is the variable that is differentiated."""
    name = re.escape(call.target)
    return bool(name) and bool(re.search(rf"\b{name}(\)|/ACCUMULATE)?\.backward\(\)", call.scope))


def outputs(program: Program, layer: str = "Linear|Conv2d") -> Iterator[tuple[Site, str]]:
    """The last layer's call in the forward of each module that is no part of another, with the axis of its classes."""
    classes = [site for site in program.sites(cst.ClassDef) if re.match(r"class \w+\((nn|L)\.\w*Module\)", site.code)]
    names = {site.node.name.value for site in classes}
    parts = {name for site in classes for name in names if re.search(rf"\b{name}\(", site.code.partition("\n")[2])}
    for owner in classes:
        if owner.node.name.value in parts:
            continue
        last = {made.target: tail(made.func) for made in owner.calls(rf"nn\.({layer})") if made.target.startswith("self.")}
        forward = [site for site in owner.inside(cst.FunctionDef) if site.node.name.value == "forward"]
        for returned in (site for each in forward for site in each.inside(cst.Return)):
            value = returned.statement.value
            if value is not None and isinstance(value.node, cst.Tuple):
                value = value.at(value.node.elements[0].value)
            if value is not None and isinstance(value.node, cst.Name):
                name = value.code
                made = [
                    site.value
                    for each in forward
                    for site in each.inside(cst.SimpleStatementLine)
                    if site.target == name and site.value
                ]
                value = made[-1] if made else value
            if value is not None and value.func in last:
                yield value, "1" if last[value.func] == "Conv2d" else "-1"


def only(program: Program, *losses: str) -> bool:
    """Whether a program has these losses and no other."""
    present = {loss for loss in FUNCTIONS if loss_calls(program, loss)}
    return bool(present) and present <= set(losses)


def last_linear(program: Program) -> Iterator[Site]:
    """The last layer of each model that is a Sequential, where that is linear."""
    for made in program.calls(r"nn\.Sequential"):
        if made.target in {"model", "net"} and made.args and made.args[-1].func == "nn.Linear":
            yield made.args[-1]


def wrapped_output(program: Program, wrapper: str, loss: str) -> Iterator[Change]:
    """An activation where the model ends: `{}` is the output, `DIM` the axis of the classes."""
    if "import torch\n" in program.text:
        for call, dim in outputs(program):
            softmaxes = program.calls(r"(F|torch)\.(log_)?softmax")
            planted = call.put(wrapper.replace("DIM", dim).format(call.code))
            yield change(planted, at=[call.statement, *loss_calls(program, loss), *softmaxes])


def wrapped_argument(program: Program, wrapper: str, loss: str) -> Iterator[Change]:
    """An activation where the loss is computed."""
    if "import torch\n" in program.text:
        for call in loss_calls(program, loss):
            yield change(call.args[0].put(wrapper.replace("DIM", "1").format(call.args[0].code)), at=[call, call.statement])


def appended_layer(program: Program, layer: str, loss: str) -> Iterator[Change]:
    for linear in last_linear(program):
        yield change(linear.put(f"{linear.code}, {layer}"), at=loss_calls(program, loss))


# --- cross-entropy ---


@mutator("softmax-before-cross-entropy", "softmax-of-probabilities")
def softmax_in_forward(program: Program) -> Iterator[Change]:
    if only(program, "CrossEntropyLoss"):
        yield from wrapped_output(program, "torch.softmax({}, dim=DIM)", "CrossEntropyLoss")
        yield from appended_layer(program, "nn.Softmax(dim=1)", "CrossEntropyLoss")


@mutator("softmax-before-cross-entropy", "softmax-of-probabilities")
def softmax_at_cross_entropy(program: Program) -> Iterator[Change]:
    yield from wrapped_argument(program, "torch.softmax({}, dim=DIM)", "CrossEntropyLoss")


@mutator("log-softmax-before-cross-entropy", "softmax-of-probabilities")
def log_softmax_in_forward(program: Program) -> Iterator[Change]:
    if only(program, "CrossEntropyLoss"):
        yield from wrapped_output(program, "torch.log_softmax({}, dim=DIM)", "CrossEntropyLoss")
        yield from appended_layer(program, "nn.LogSoftmax(dim=1)", "CrossEntropyLoss")


@mutator("log-softmax-before-cross-entropy")
def log_softmax_at_cross_entropy(program: Program) -> Iterator[Change]:
    yield from wrapped_argument(program, "torch.log_softmax({}, dim=DIM)", "CrossEntropyLoss")


@mutator("sigmoid-before-cross-entropy", "softmax-of-probabilities")
def sigmoid_in_forward(program: Program) -> Iterator[Change]:
    if only(program, "CrossEntropyLoss"):
        yield from wrapped_output(program, "torch.sigmoid({})", "CrossEntropyLoss")
        yield from appended_layer(program, "nn.Sigmoid()", "CrossEntropyLoss")


@mutator("sigmoid-before-cross-entropy")
def sigmoid_at_cross_entropy(program: Program) -> Iterator[Change]:
    yield from wrapped_argument(program, "torch.sigmoid({})", "CrossEntropyLoss")


@mutator("relu-before-cross-entropy", "activation-after-logits")
def relu_before_cross_entropy(program: Program) -> Iterator[Change]:
    if only(program, "CrossEntropyLoss"):
        yield from wrapped_output(program, "torch.relu({})", "CrossEntropyLoss")
        yield from appended_layer(program, "nn.ReLU()", "CrossEntropyLoss")


@mutator("activation-after-logits", "relu-before-cross-entropy")
def activation_after_logits(program: Program) -> Iterator[Change]:
    for loss in ("CrossEntropyLoss", "BCEWithLogitsLoss"):
        if only(program, loss):
            yield from wrapped_output(program, "nn.functional.dropout(torch.relu({}), 0.2, self.training)", loss)
            yield from appended_layer(program, "nn.ReLU()", loss)


@mutator("activation-after-logits")
def dropout_after_logits(program: Program) -> Iterator[Change]:
    for loss in ("CrossEntropyLoss", "BCEWithLogitsLoss"):
        if only(program, loss):
            yield from wrapped_output(program, "nn.functional.dropout({}, 0.3, self.training)", loss)
            yield from appended_layer(program, "nn.Dropout(0.5)", loss)


@mutator("nll-without-log-probs")
def nll_for_cross_entropy(program: Program) -> Iterator[Change]:
    if "one_hot" in program.text:
        return
    calls = loss_calls(program, "CrossEntropyLoss")
    for call in calls:
        if tail(call.func) == "cross_entropy":
            yield change(call.sub(r"\bcross_entropy\b", "nll_loss"), at=[call])
    for made in makers(program, "CrossEntropyLoss"):
        if "label_smoothing" not in made.code:
            yield change(made.sub("CrossEntropyLoss", "NLLLoss"), at=calls)


@mutator("nll-without-log-probs")
def nll_of_logits(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "NLLLoss")
    for call in program.calls(r"(F|torch|self)\.log_softmax") if calls else ():
        yield change(call.put(call.args[0].code), at=[*calls, call.statement])


@mutator("nll-without-log-probs", "log-of-softmax")
def nll_of_probabilities(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "NLLLoss")
    for call in program.calls(r"(F|torch)\.log_softmax|nn\.LogSoftmax") if calls else ():
        yield change(
            call.put(call.code.replace("log_softmax", "softmax").replace("LogSoftmax", "Softmax")), at=[*calls, call.statement]
        )


@mutator("single-logit-softmax", "wrong-class-axis", "shape-mismatch")
def one_class(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "CrossEntropyLoss")
    for made in program.calls(r"nn\.Linear") if calls else ():
        if made.args[-1].code == "2":
            softmax = list(program.calls(r".*softmax"))
            yield change(made.args[-1].put("1"), at=[*calls, *softmax])


@mutator("single-logit-softmax")
def softmax_of_one_logit(program: Program) -> Iterator[Change]:
    if re.search(r"nn\.Linear\([^()]*, 1\)", program.text):
        for call in program.calls(r"torch\.sigmoid"):
            comparisons = [site for site in program.sites(cst.Comparison) if "0.5" in site.code]
            if "squeeze" not in program.text:
                yield change(call.put(f"torch.softmax({call.args[0].code}, dim=1)"), at=[call.statement, *comparisons])


# --- binary cross-entropy ---


@mutator("bce-on-logits")
def bce_without_sigmoid(program: Program) -> Iterator[Change]:
    for made in makers(program, "BCEWithLogitsLoss"):
        if not made.args:
            yield change(made.sub("BCEWithLogitsLoss", "BCELoss"), at=loss_calls(program, "BCEWithLogitsLoss"))


@mutator("bce-on-logits")
def sigmoid_left_out(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "BCELoss")
    for call in program.calls(r"torch\.sigmoid") if calls else ():
        yield change(call.put(call.args[0].code), at=calls)


@mutator("sigmoid-before-bce-with-logits", "sigmoid-of-probabilities", "logit-threshold")
def sigmoid_at_bce_with_logits(program: Program) -> Iterator[Change]:
    yield from wrapped_argument(program, "torch.sigmoid({})", "BCEWithLogitsLoss")


@mutator("sigmoid-before-bce-with-logits", "sigmoid-of-probabilities")
def sigmoid_in_forward_before_bce_with_logits(program: Program) -> Iterator[Change]:
    if only(program, "BCEWithLogitsLoss"):
        sigmoids = list(program.calls(r"torch\.sigmoid"))
        for planted in wrapped_output(program, "torch.sigmoid({})", "BCEWithLogitsLoss"):
            yield Change(planted.edits, (*planted.at, *sigmoids))


@mutator("sigmoid-before-bce-with-logits")
def with_logits_on_probabilities(program: Program) -> Iterator[Change]:
    sigmoids = [call.statement for call in program.calls(r"torch\.sigmoid")]
    for call in loss_calls(program, "BCELoss"):
        yield change(call.sub(r"\bbinary_cross_entropy\b", "binary_cross_entropy_with_logits"), at=[call, *sigmoids])


@mutator("sigmoid-of-probabilities")
def sigmoid_twice(program: Program) -> Iterator[Change]:
    for call in program.calls(r"torch\.sigmoid"):
        yield change(call.put(f"torch.sigmoid({call.code})"))


@mutator("logit-threshold")
def logits_compared_with_a_half(program: Program) -> Iterator[Change]:
    comparisons = [site for site in program.sites(cst.Comparison) if site.code.endswith("> 0.5")]
    for call in program.calls(r"torch\.sigmoid") if comparisons else ():
        yield change(call.put(call.args[0].code), at=[*comparisons, *(site.statement for site in comparisons)])


# --- other losses ---


@mutator("kl-div-without-log-probs")
def kl_div_of_probabilities(program: Program) -> Iterator[Change]:
    calls = list(program.calls(r"F\.kl_div"))
    for call in program.calls(r"F\.log_softmax") if calls else ():
        yield change(call.sub("log_softmax", "softmax"), at=[*calls, call.statement])


@mutator("kl-div-without-log-probs")
def kl_div_of_logits(program: Program) -> Iterator[Change]:
    calls = list(program.calls(r"F\.kl_div"))
    for call in program.calls(r"F\.log_softmax") if calls else ():
        yield change(call.put(call.args[0].code), at=[*calls, call.statement])


@mutator("kl-div-log-target")
def kl_div_target_of_the_wrong_kind(program: Program) -> Iterator[Change]:
    for call in program.calls(r"F\.kl_div"):
        yield change(call.sub(r"\)$", ", log_target=True)"), at=[call])
        for made in program.calls(r"F\.softmax"):
            if made.target and re.search(rf"\b{made.target}\b", call.code):
                yield change(made.sub("softmax", "log_softmax"), at=[call, made.statement])


@mutator("kl-div-mean-reduction")
def kl_div_mean(program: Program) -> Iterator[Change]:
    for call in program.calls(r"F\.kl_div"):
        yield change(call.sub(r'"batchmean"', '"mean"'), at=[call])
        yield change(call.sub(r', reduction="batchmean"', ""), at=[call])


@mutator("ctc-without-log-probs")
def ctc_of_logits(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "CTCLoss")
    for call in program.calls(r"F\.log_softmax"):
        if any(call.target == each.args[0].code and call.scope == each.scope for each in calls):
            yield change(call.put(call.args[0].code), at=[*calls, call.statement])
            yield change(call.sub("log_softmax", "softmax"), at=[*calls, call.statement])


@mutator("poisson-log-input")
def poisson_of_the_wrong_kind(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "PoissonNLLLoss")
    for made in makers(program, "PoissonNLLLoss"):
        yield change(made.sub("log_input=True", "log_input=False"), at=calls)
    for call in calls:
        yield change(call.args[0].put(f"torch.exp({call.args[0].code})"), at=[call])


@mutator("probs-as-logits")
def probabilities_as_logits(program: Program) -> Iterator[Change]:
    for call in program.calls(r"(.*\.)?Categorical"):
        logits = call.keyword("logits")
        if logits is not None:
            yield change(logits.put(f"torch.softmax({logits.code}, dim=-1)"), at=[call])
            for output, _ in outputs(program):
                yield change(output.put(f"torch.softmax({output.code}, dim=-1)"), at=[call, call.statement])


@mutator("broadcast-loss", "silent-broadcast", "shape-mismatch")
def column_against_row(program: Program) -> Iterator[Change]:
    calls = loss_calls(program, "MSELoss", "SmoothL1Loss", "PoissonNLLLoss")
    if calls and only(program, "MSELoss", "SmoothL1Loss", "PoissonNLLLoss", "CrossEntropyLoss"):
        for call in squeezes_before_a_loss(program):
            yield change(call.sub(r"\.squeeze\(-?1\)$", ""), at=[*calls, *(each.statement for each in calls)])


def squeezes_before_a_loss(program: Program) -> Iterator[Site]:
    """Where the last axis is taken away from what a loss gets, or from what a forward returns."""
    taken = {call.args[0].code for call in loss_calls(program, *FUNCTIONS)}
    for call in program.calls(r".*\.squeeze"):
        if call.args and (call.target in taken or call.statement.code.startswith("return")):
            yield call


# --- activations by themselves ---


@mutator("softmax-over-batch", "wrong-class-axis", "nll-without-log-probs")
def softmax_along_the_batch(program: Program) -> Iterator[Change]:
    for call in program.calls(r"(F|torch|nn)\.(log_softmax|softmax|Softmax|LogSoftmax)"):
        dim = call.keyword("dim")
        if dim is not None:
            applied = [site for site in program.sites(cst.Call) if call.target and site.func == call.target]
            yield change(dim.put("0"), at=[call, call.statement, *applied, *loss_calls(program, "NLLLoss")])


@mutator("log-of-softmax")
def logarithm_of_softmax(program: Program) -> Iterator[Change]:
    for call in program.calls(r"(F|torch)\.log_softmax"):
        yield change(call.put(f"torch.log({call.code.replace('log_softmax', 'softmax')})"))


@mutator("softmax-of-probabilities", "softmax-over-batch")
def softmax_twice(program: Program) -> Iterator[Change]:
    for call in program.calls(r"(F|torch)\.softmax"):
        dim = call.keyword("dim")
        if dim is not None:
            yield change(call.put(f"{call.func}({call.code}, dim={dim.code})"))


# --- the path to backward ---


@mutator("detached-loss")
def outputs_detached(program: Program) -> Iterator[Change]:
    for call in trained(program, *FUNCTIONS):
        if "detach" not in call.code and call.statement.value and call.statement.value.node is call.node:
            yield change(call.args[0].put(f"{call.args[0].code}.detach()"), at=[call, *differentiated(call)])


@mutator("detached-loss", "rebuilt-tensor")
def loss_from_a_number(program: Program) -> Iterator[Change]:
    for call in trained(program, *FUNCTIONS):
        if "import torch\n" in program.text:
            rebuilt = f"{call.target} = torch.tensor({call.target}.item(), requires_grad=True)"
            yield change(call.statement.after(rebuilt), at=[call, *differentiated(call)])


@mutator("detached-loss", "logit-threshold")
def hard_predictions_in_the_loss(program: Program) -> Iterator[Change]:
    for call in trained(program, "BCEWithLogitsLoss", "MSELoss"):
        yield change(call.args[0].put(f"torch.round({call.args[0].code})"), at=[call, *differentiated(call)])


@mutator("rebuilt-tensor", "detached-loss")
def tensor_made_anew(program: Program) -> Iterator[Change]:
    for call in trained(program, *FUNCTIONS):
        if isinstance(call.args[0].node, cst.Name) and "import torch\n" in program.text:
            name = call.args[0].code
            yield change(
                call.statement.before(f"{name} = torch.tensor({name}, requires_grad=True)"), at=[call, *differentiated(call)]
            )


def differentiated(call: Site) -> list[Site]:
    """The statements that differentiate something, in the same function."""
    around = call.function
    found = [site for site in call.source.of(cst.Call) if re.fullmatch(r".*\.backward", site.func, re.DOTALL)]
    return [site for site in found if around is None or around.contains(site)]


# --- attention ---


@mutator("inverted-attention-mask")
def mask_turned_over(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.masked_fill"):
        mask = call.args[0]
        turned = mask.code.replace("== 0", "!= 0") if "== 0" in mask.code else f"~{mask.code}"
        used = [site for site in program.statements(r"\w+ = F\.softmax\(") if site.function.node is call.function.node]
        yield change(mask.put(turned), at=[call, call.statement, *used])


@mutator("mask-after-softmax")
def mask_on_the_weights(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.masked_fill"):
        following = call.siblings[[site.node for site in call.siblings].index(call.statement.node) + 1]
        if following.value is not None and "softmax" in following.value.func:
            masked, weights = call.target, following.target
            late = re.sub(rf"\b{masked}\b", weights, call.statement.code).replace('float("-inf")', "0.0")
            yield change(call.drop(), following.after(late), at=[following])


# --- Keras ---


@mutator("from-logits-mismatch")
def from_logits_turned_over(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.SparseCategoricalCrossentropy"):
        text = f"{call.func}()" if "from_logits" in call.code else f"{call.func}(from_logits=True)"
        used = [site for site in program.sites(cst.Call) if site.func == call.target]
        yield change(call.put(text), at=[call, *compiled(program), *used])
    for call in program.calls(r".*\.compile"):
        loss = call.keyword("loss")
        if loss is not None and loss.code == '"binary_crossentropy"':
            yield change(loss.put("keras.losses.BinaryCrossentropy(from_logits=True)"), at=compiled(program))


@mutator("from-logits-mismatch")
def last_activation_dropped(program: Program) -> Iterator[Change]:
    for call in program.calls(r"(.*\.)?Dense"):
        if re.search(r'activation="(softmax|sigmoid)"', call.code):
            yield change(call.sub(r', activation="\w+"', ""), at=[call, *compiled(program), *losses_of_keras(program)])


@mutator("from-logits-mismatch")
def last_activation_added(program: Program) -> Iterator[Change]:
    for call in program.calls(r"(.*\.)?Dense"):
        if "activation" not in call.code and "from_logits=True" in program.text:
            yield change(call.sub(r"\)$", ', activation="softmax")'), at=[call, *compiled(program), *losses_of_keras(program)])


def compiled(program: Program) -> list[Site]:
    return list(program.calls(r".*\.compile"))


def losses_of_keras(program: Program) -> list[Site]:
    return [*program.calls(r".*Crossentropy"), *program.calls("loss_fn")]
