"""Bugs of training loops, modules and evaluation modes, planted in right programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst
from mutants_losses import differentiated, loss_calls, tail
from mutants_places import Change, Edit, Program, Site, change, mutator

OPTIMIZER_STEP = r"(self\.)?\w*opt\w*\.step\(\)"
SCHEDULER_STEP = r"(self\.)?\w*sched\w*\.step\(\)"
CLIP = r".*clip_grad_norm_\("
MODES = r"Dropout|F\.dropout|BatchNorm|resnet"


def beside(site: Site, pattern: str) -> list[Site]:
    """The simple statements of the same function, or of the same file outside of any, that begin like this."""
    own = site.function
    found = [each for each in site.source.of(cst.SimpleStatementLine) if re.match(pattern, each.code)]
    return [each for each in found if (each.function.node if each.function else None) is (own.node if own else None)]


def steps(program: Program) -> Iterator[tuple[Site, Site]]:
    """A backward, and the optimizer's step after it in the same block."""
    for step in program.statements(OPTIMIZER_STEP):
        earlier = step.siblings[: index(step)]
        found = [site for site in earlier if re.fullmatch(r".*\.backward\(\)|self\.manual_backward\(\w+\)", site.code)]
        if found:
            yield found[-1], step


def index(statement: Site) -> int:
    return [site.node for site in statement.siblings].index(statement.node)


def around(site: Site) -> list[Site]:
    """The loop and the function that it stands in."""
    return [each for each in (site.loop, site.function) if each is not None]


# --- gradients ---


@mutator("missing-zero-grad")
def zero_grad_dropped(program: Program) -> Iterator[Change]:
    scaled = list(program.statements(r"scaler\.step\(optimizer\)"))
    for step in [*(step for _, step in steps(program)), *scaled]:
        optimizer = "optimizer" if step in scaled else step.code.partition(".step")[0]
        dropped = beside(step, rf"{re.escape(optimizer)}\.zero_grad\(")
        if dropped and "manual_backward" not in step.scope:
            yield change([site.drop() for site in dropped], at=[step, *differentiated(step), *around(step)])


@mutator("step-before-backward", "missing-zero-grad")
def step_moved_before_backward(program: Program) -> Iterator[Change]:
    for backward, step in steps(program):
        yield change(step.drop(), backward.before(step.code), at=[backward, *beside(step, CLIP)])


@mutator("step-before-backward")
def zero_grad_between_backward_and_step(program: Program) -> Iterator[Change]:
    for backward, step in steps(program):
        optimizer = step.code.partition(".step")[0]
        for clearing in beside(step, rf"{re.escape(optimizer)}\.zero_grad\(")[:1]:
            if clearing.siblings[0].node is step.siblings[0].node:
                yield change(clearing.drop(), step.before(clearing.code), at=[backward, step])


@mutator("clip-after-step")
def clip_moved_after_step(program: Program) -> Iterator[Change]:
    for clip in program.statements(CLIP):
        later = [site for site in clip.siblings[index(clip) :] if re.match(r".*\.step\(", site.code)]
        if later:
            yield change(clip.drop(), later[0].after(clip.code), at=[later[0]])


@mutator("clip-after-step", "step-before-backward", "amp-clip-without-unscale")
def clip_moved_before_backward(program: Program) -> Iterator[Change]:
    for backward, step in steps(program):
        for clip in beside(step, CLIP):
            yield change(clip.drop(), backward.before(clip.code), at=[backward])


@mutator("loss-graph-kept")
def item_dropped(program: Program) -> Iterator[Change]:
    for call in program.calls(r"\w*loss\w*(\.detach\(\))?\.item"):
        statement = call.statement.code
        kept = re.match(r"(self\.)?\w+ \+= ", statement) or ".append(" in statement
        if kept and re.search(r"\.backward\(\)", call.function.code if call.function else call.source.text) and training(call):
            yield change(call.put(re.sub(r"(\.detach\(\))?\.item$", "", call.func)), at=[call.statement])


def training(call: Site) -> bool:
    """Whether graphs are built where it stands."""
    no_grad = any(
        isinstance(site.node, cst.With) and re.match(r"with torch\.(no_grad|inference_mode)", site.code)
        for site in call.ancestors()
    )
    return not no_grad and bool(call.loop and re.search(r"\.backward\(\)|self\.step\(", call.loop.code))


@mutator("zero-grad-in-accumulation")
def cleared_in_each_part(program: Program) -> Iterator[Change]:
    for clearing in program.statements(r"\w+\.zero_grad\(\)"):
        condition = next((site for site in clearing.ancestors() if isinstance(site.node, cst.If)), None)
        if condition is not None and "%" in condition.at(condition.node.test).code and condition.loop is not None:
            yield change(
                clearing.drop(), condition.loop.body[0].before(clearing.code), at=[*beside(clearing, r".*\.step\("), condition]
            )


@mutator("unscaled-accumulation")
def division_dropped(program: Program) -> Iterator[Change]:
    for division in program.statements(r"loss = loss / \w+"):
        yield change(division.drop(), at=[*differentiated(division), *loss_calls(program, "CrossEntropyLoss"), *around(division)])


@mutator("amp-clip-without-unscale")
def unscale_dropped(program: Program) -> Iterator[Change]:
    for unscale in program.statements(r"scaler\.unscale_\("):
        yield change(unscale.drop(), at=[*beside(unscale, CLIP), *beside(unscale, r"scaler\.step")])


@mutator("amp-clip-without-unscale")
def update_dropped(program: Program) -> Iterator[Change]:
    for update in program.statements(r"scaler\.update\("):
        yield change(update.drop(), at=[*beside(update, r"scaler\.(step|unscale_)"), *differentiated(update)])


# --- schedules ---


def per_epoch(program: Program) -> Iterator[Site]:
    """The steps of schedules that count epochs: no batch is there where they stand."""
    epochs = re.search("StepLR|MultiStepLR|ExponentialLR|CosineAnnealingLR", program.text)
    if epochs and not re.search(r"OneCycleLR|LambdaLR|T_max=epochs \* len", program.text):
        yield from (step for step in program.statements(SCHEDULER_STEP) if step.loop is not None)


def schedules(program: Program) -> list[Site]:
    """Where schedules are made."""
    return [site.statement for site in program.calls(r"(.*\.)?\w+LR|get_linear_schedule_with_warmup|warmup_schedule")]


@mutator("scheduler-before-optimizer")
def scheduler_moved_before_the_epoch(program: Program) -> Iterator[Change]:
    for step in per_epoch(program):
        first = step.loop.body[0]
        if first.node is not step.node:
            yield change(step.drop(), first.before(step.code), at=[step.loop, *program.statements(OPTIMIZER_STEP)])


@mutator("scheduler-before-optimizer")
def scheduler_moved_before_the_step(program: Program) -> Iterator[Change]:
    for _, step in steps(program):
        for schedule in [site for site in step.siblings if re.fullmatch(SCHEDULER_STEP, site.code)]:
            yield change(schedule.drop(), step.before(schedule.code), at=[step])


@mutator("scheduler-in-batch-loop")
def scheduler_moved_into_the_batches(program: Program) -> Iterator[Change]:
    for schedule in per_epoch(program):
        for _, step in steps(program):
            if any(site.node is schedule.node for site in beside(step, SCHEDULER_STEP)):
                yield change(schedule.drop(), step.after(schedule.code), at=[*schedules(program), schedule.loop])


@mutator("scheduler-in-batch-loop")
def scheduler_moved_out_of_the_batches(program: Program) -> Iterator[Change]:
    if re.search(r"OneCycleLR|T_max=epochs \* len|get_linear_schedule|LambdaLR", program.text):
        for schedule in program.statements(SCHEDULER_STEP):
            batches = schedule.loop
            if batches is not None and re.search(r"loader|batch", batches.code.partition(":")[0]):
                yield change(schedule.drop(), batches.after(schedule.code), at=[*schedules(program), batches])


# --- parameters ---


@mutator("optimizer-before-layer", "parameters-left-out")
def layer_replaced_after_the_optimizer(program: Program) -> Iterator[Change]:
    for made in program.calls(r"(torch\.)?optim\.\w+"):
        model = re.match(r"\w+\(([a-z]\w*)\.parameters\(\)", made.code.rpartition("optim.")[2])
        owner = class_of(program, model[1]) if model else None
        layers = [call for call in owner.calls(r"nn\.Linear") if call.statement.value.node is call.node] if owner else []
        if layers:
            layer = layers[-1].target.replace("self", model[1])
            new = f"{layer} = nn.Linear({layer}.in_features, {layer}.out_features)"
            yield change(made.statement.after(new), nn(made), at=[made, made.statement])


def class_of(program: Program, model: str) -> Site | None:
    """The class of the program that a model is made of; the only one where nobody says."""
    made = re.search(rf"\b{model} = (\w+)\(", program.text)
    classes = [site for site in program.sites(cst.ClassDef) if re.match(r"class \w+\(nn\.Module\)", site.code)]
    named = [site for site in classes if made and site.node.name.value == made[1]]
    return named[0] if named else classes[0] if len(classes) == 1 else None


@mutator("optimizer-before-layer", "parameters-left-out")
def optimizer_moved_before_the_layer(program: Program) -> Iterator[Change]:
    for new in program.statements(r"model\.fc = nn\.Linear\("):
        for made in beside(new, r"head_optimizer = "):
            yield change(new.drop(), made.after(new.code), at=[made])


def nn(site: Site) -> list[Edit]:
    return (
        []
        if re.search(
            r"^(import torch\.nn as nn|from torch import nn|from torch import nn, optim)$", site.source.text, re.MULTILINE
        )
        else site.source.importing("from torch import nn")
    )


@mutator("parameters-left-out")
def group_left_out(program: Program) -> Iterator[Change]:
    for group in program.sites(cst.Dict):
        if group.code.startswith('{"params"') and "decay" in group.code and "no_decay" in group.code:
            whole = next(site for site in group.ancestors() if isinstance(site.node, cst.List))
            appends = list(program.statements(r"no_decay"))
            yield change(whole.put(f"[{whole.at(whole.node.elements[0].value).code}]"), at=[*appends, group.statement])
    for group in program.sites(cst.Dict):
        if re.search(r'"params": model\.layer4', group.code):
            whole = next(site for site in group.ancestors() if isinstance(site.node, cst.List))
            unfrozen = list(program.statements(r"model\.layer4\.requires_grad_"))
            yield change(whole.put(f"[{whole.at(whole.node.elements[0].value).code}]"), at=[*unfrozen, whole.statement])


@mutator("parameters-left-out")
def one_optimizer_for_the_wrong_model(program: Program) -> Iterator[Change]:
    made = [site for site in program.calls(r"torch\.optim\.\w+") if re.search(r"\(net\w\.parameters", site.code)]
    if len(made) == 2:
        first, second = (re.search(r"net\w", site.code)[0] for site in made)
        losses = [call.statement for call in loss_calls(program, "BCEWithLogitsLoss")]
        yield change(made[0].sub(first, second), at=[made[0].statement, *losses])
        yield change(made[1].sub(second, first), at=[made[1].statement, *losses])


@mutator("layers-in-plain-list", "parameters-left-out")
def list_instead_of_module_list(program: Program) -> Iterator[Change]:
    for call in program.calls(r"nn\.Module(List|Dict)"):
        yield change(call.put(call.args[0].code), at=[call.statement])


@mutator("tensor-not-registered")
def attribute_instead_of_buffer(program: Program) -> Iterator[Change]:
    for call in program.calls(r"self\.register_buffer"):
        name = call.args[0].code.strip('"')
        used = [site.statement for site in call.owner.inside(cst.Attribute) if site.code == f"self.{name}"]
        yield change(call.put(f"self.{name} = {call.args[1].code}"), at=used)


@mutator("missing-super-init")
def super_init_dropped(program: Program) -> Iterator[Change]:
    for call in program.statements(r"super\(.*\)\.__init__\(\)"):
        owner = call.owner
        layers = [site for site in call.siblings if re.match(r"self\.\w+ = (nn\.)?[A-Z]\w+\(", site.code)]
        if layers and owner is not None and re.match(r"class \w+\((nn|L)\.\w*Module\)", owner.code):
            yield change(call.drop(), at=[owner, call.function, *layers])


@mutator("require-grad-typo")
def requires_grad_misspelt(program: Program) -> Iterator[Change]:
    for statement in program.statements(r".*\.requires_grad = "):
        yield change(statement.sub("requires_grad", "require_grad"))


@mutator("module-requires-grad")
def flag_on_a_module(program: Program) -> Iterator[Change]:
    for call in program.statements(r"model\..*\.requires_grad_\(True\)"):
        yield change(call.sub(r"requires_grad_\(True\)", "requires_grad = True"))
    for loop in program.sites(cst.For):
        frozen = re.fullmatch(r"for (\w+) in (\w+)\.parameters\(\):\s+\1\.requires_grad = False", loop.code)
        if frozen:
            yield change(loop.put(f"{frozen[2]}.requires_grad = False"))


@mutator("best-weights-by-reference")
def deepcopy_dropped(program: Program) -> Iterator[Change]:
    loads = [site.statement for site in program.calls(r".*\.load_state_dict")]
    for call in program.calls(r"copy\.deepcopy"):
        if call.loop is not None:
            yield change(call.put(call.args[0].code), at=loads)


# --- Lightning ---


@mutator("manual-step-in-lightning")
def steps_under_automatic_optimisation(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"self\.automatic_optimization = False"):
        manual = [
            site.statement for site in statement.owner.calls(r"self\.manual_backward|\w+\.(step|zero_grad)|self\.optimizers")
        ]
        yield change(statement.drop(), at=[*manual, *(site.function for site in manual)])
    for statement in program.statements(r"return loss"):
        if statement.function and statement.function.node.name.value == "training_step":
            yield change(statement.before("loss.backward()"), at=[statement.function])
            yield change(
                statement.before(
                    "optimizer = self.optimizers()\noptimizer.zero_grad()\nself.manual_backward(loss)\noptimizer.step()"
                ),
                at=[statement.function],
            )


@mutator("manual-step-in-lightning")
def no_steps_under_manual_optimisation(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"self\.automatic_optimization = False"):
        dropped = [
            site
            for site in program.statements(r"self\.manual_backward|\w+\.(step|zero_grad)\(\)")
            if site.function and site.function.node.name.value == "training_step"
        ]
        yield change([site.drop() for site in dropped], at=[statement, dropped[0].function])
    if "L.LightningModule" in program.text:
        for statement in program.statements(r"self\.save_hyperparameters\(\)"):
            functions = [site for site in statement.owner.inside(cst.FunctionDef) if site.node.name.value == "training_step"]
            inner = functions[0].inside(cst.SimpleStatementLine) if functions else []
            yield change(statement.after("self.automatic_optimization = False"), at=[*functions, *inner])


# --- modes ---


def evaluations(program: Program) -> Iterator[Site]:
    """The statements that put a model of the program's own, with layers that have modes, into evaluation mode."""
    if re.search(MODES, program.text) and "AutoModelForCausalLM" not in program.text:
        yield from program.statements(r"[\w.]+\.eval\(\)")


@mutator("missing-eval-mode")
def eval_dropped(program: Program) -> Iterator[Change]:
    for call in evaluations(program):
        model = call.code.removesuffix(".eval()")
        if model != "self" and model != "netG":
            own = call.function
            prepares = own is not None and own.node.name.value == "__init__"
            if own and re.search(rf"\b{model}\b", own.code.partition(":")[0]) and not list(program.calls(own.node.name.value)):
                continue
            everywhere = program.sites(cst.Call) if own is None or prepares else own.inside(cst.Call)
            uses = [site for site in everywhere if site.func in {model, "self.step"} or site.func == model.removeprefix("self.")]
            uses = [site for site in uses if site.source is call.source and (prepares or site.range > call.range)]
            loops = [site.loop for site in uses]
            withs = [each for site in uses for each in site.ancestors() if isinstance(each.node, cst.With)]
            yield change(call.drop(), at=[*uses, *(site.statement for site in uses), *loops, *withs, own])


@mutator("train-mode-not-restored")
def train_dropped(program: Program) -> Iterator[Change]:
    calls = list(evaluations(program))
    for train in program.statements(r"[\w.]+\.train\(\)"):
        for loop in program.sites(cst.For):
            own = train.function
            trains = loop.contains(train) or (own is not None and re.search(rf"\b{own.node.name.value}\(", loop.code))
            evals = [
                call
                for call in calls
                if loop.contains(call) or (call.function and re.search(rf"\b{call.function.node.name.value}\(", loop.code))
            ]
            if trains and evals and "epoch" in loop.code.partition(":")[0] and "self.train" not in train.code:
                callers = [site.statement for site in loop.inside(cst.Call) if own and tail(site.func) == own.node.name.value]
                yield change(train.drop(), at=[*evals, own, loop, *callers, *(site.function for site in evals)])
                break


@mutator("missing-no-grad")
def no_grad_unwrapped(program: Program) -> Iterator[Change]:
    for block in program.sites(cst.With):
        off = re.match(r"with torch\.(no_grad|inference_mode)\(\):", block.code)
        if off and not re.search(r"\.numpy\(\)|\.generate\(|requires_grad = True", block.scope):
            body = "\n".join(site.block_text for site in block.body)
            start, _end = block.range
            indent = block.source.text[block.source.line_start(start) : start]
            text = "\n".join((indent + line if line.strip() and i else line) for i, line in enumerate(body.split("\n")))
            if ".backward()" not in block.code and re.search(r"model|net|student|self\(", block.code):
                yield change(block.put(text), at=[block.function])


@mutator("missing-no-grad")
def no_grad_decorator_dropped(program: Program) -> Iterator[Change]:
    for decorator in program.sites(cst.Decorator):
        if re.match(r"@torch\.(no_grad|inference_mode)\(\)", decorator.code):
            start, end = decorator.range
            source = decorator.source
            function = decorator.at(source.parents[decorator.node])
            inner = [site for site in function.inside(cst.Call) if re.fullmatch(r"(self\.)?model|self", site.func)]
            edit = Edit(source.name, source.line_start(start), source.line_end(end), "")
            yield change(edit, at=[function, *inner, *(site.loop for site in inner)])


@mutator("dropout-always-on")
def dropout_that_is_not_told_the_mode(program: Program) -> Iterator[Change]:
    for call in program.calls(r"F\.dropout"):
        yield change(call.sub(r", training=self\.training", ""))
    for call in program.calls(r"self\.(drop|dropout|attn_dropout|dropout1)"):
        if re.search(r"^import torch.nn as nn|^from torch import nn", program.text, re.MULTILINE):
            yield change(call.put(f"nn.functional.dropout({call.args[0].code}, 0.3)"))


@mutator(
    "missing-call-parentheses",
    "missing-zero-grad",
    "missing-eval-mode",
    "train-mode-not-restored",
    "step-before-backward",
    "metric-not-reset",
)
def parentheses_forgotten(program: Program) -> Iterator[Change]:
    consequences = list(program.statements(r".*(\.eval\(|\.step\(|\.backward\(|\.compute\(|model\(|net\w?\()"))
    for call in program.statements(r"[\w.]+\.(zero_grad|eval|train|step|backward|reset)\(\)$"):
        yield change(call.sub(r"\(\)$", ""), at=consequences)


@mutator("missing-call-parentheses")
def parentheses_forgotten_in_with(program: Program) -> Iterator[Change]:
    for block in program.sites(cst.With):
        item = block.at(block.node.items[0].item)
        if re.fullmatch(r"torch\.(no_grad|inference_mode)\(\)", item.code):
            yield change(item.sub(r"\(\)$", ""), at=[block])


@mutator("random-transform-in-eval")
def augmentation_in_evaluation(program: Program) -> Iterator[Change]:
    for call in program.calls(r"transforms\.Compose"):
        named = call.target
        key = next((site.at(site.node.key).code for site in call.ancestors() if isinstance(site.node, cst.DictElement)), "")
        function = call.function.node.name.value if call.function else ""
        if re.search(r"val|eval|plain|test", named + key + function) and "Random" not in call.code and "train" not in named:
            first = call.args[0].at(call.args[0].node.elements[0].value)
            used = [*program.statements(r".*random_split\(")]
            used += [
                site.statement
                for site in program.calls(r"(datasets\.|torch\.utils\.data\.)?(ImageFolder|CIFAR10|DataLoader)")
                if re.search(r"val|test|heldout|unchanged", site.statement.code)
            ]
            yield change(first.put(f"transforms.RandomHorizontalFlip(), {first.code}"), at=[call, *used])
