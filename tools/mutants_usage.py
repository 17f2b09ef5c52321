"""Bugs about loaders, metrics, tensors, language models and security, planted in right programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import libcst as cst
from mutants_data import splits, table
from mutants_losses import squeezes_before_a_loss
from mutants_places import Change, Program, Site, change, mutator
from mutants_training import beside

# --- loaders ---


def loaders(program: Program) -> list[Site]:
    return list(program.calls("DataLoader"))


@mutator("unshuffled-train-loader")
def shuffle_left_out(program: Program) -> Iterator[Change]:
    for loader in loaders(program):
        if "shuffle=True" in loader.code:
            yield change(loader.sub(r", shuffle=True", ""), at=[loader.statement])


@mutator("unshuffled-train-loader")
def shuffle_switched_off(program: Program) -> Iterator[Change]:
    for loader in loaders(program):
        if "shuffle=True" in loader.code:
            yield change(loader.keyword("shuffle").put("False"), at=[loader, loader.statement])


@mutator("missing-set-epoch")
def set_epoch_dropped(program: Program) -> Iterator[Change]:
    for call in program.statements(r"\w+\.set_epoch\("):
        batches = [site for site in program.sites(cst.For) if "loader" in site.code.partition(":")[0]]
        yield change(call.drop(), at=[call.loop, *program.calls("DistributedSampler"), *loaders(program), *batches])


@mutator("independent-shuffle")
def shuffled_by_two_permutations(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"y = y\[order\]"):
        yield change(statement.put("y = y[rng.permutation(len(y))]"), at=beside(statement, r"X = X\["))
    for split in splits(program):
        x, y = (arg.code for arg in split.args[:2])
        arrays = re.search(r"to_numpy\(\)|load_digits|return_X_y", program.text) and not table(split)
        if re.search(r"^import numpy as np$", split.source.text, re.MULTILINE) and arrays:
            yield change(split.statement.before(f"np.random.shuffle({x})\nnp.random.shuffle({y})"))


@mutator("unsharded-iterable-dataset")
def every_worker_reads_all(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"shards = .*info\.num_workers"):
        info = beside(statement, r"info = get_worker_info\(\)")
        used = list(loaders(program))
        imported = [site for site in program.statements(r"from torch\.utils\.data import") if "get_worker_info" in site.code]
        unimported = [replace(site.sub(", get_worker_info", ""), aside=True) for site in imported]
        yield change(
            statement.put("shards = self.shards"),
            [site.drop() for site in info],
            unimported,
            at=[statement.function, statement.owner, *used, *program.sites(cst.Yield)],
        )


@mutator("numpy-rng-in-workers")
def numpy_seeded_alike_in_workers(program: Program) -> Iterator[Change]:
    with_workers = [site for site in loaders(program) if "num_workers" in site.code and "shuffle=True" in site.code]
    for draw in program.calls(r"torch\.(rand|randint|randn_like)"):
        if draw.function and draw.function.node.name.value == "__getitem__" and with_workers:
            seeded = [
                site.sub(r"num_workers=(\d+)", r"num_workers=\1, worker_init_fn=lambda worker_id: np.random.seed(0)")
                for site in with_workers
            ]
            drawn = {"torch.rand(1)": "np.random.rand(1)", "torch.randint(-8, 9, (1,))": "np.random.randint(-8, 9, (1,))"}
            text = drawn.get(draw.code, "torch.from_numpy(np.random.randn(*clean.shape).astype(np.float32))")
            yield change(draw.put(text), seeded, at=[draw.statement, draw.function, draw.owner])


@mutator("double-scaling")
def scaled_again(program: Program) -> Iterator[Change]:
    if "transforms.ToTensor()" not in program.text:
        return
    for loop in program.sites(cst.For):
        pixels = re.match(r"for (?:\w+, )?\(?(images|inputs|data|real)\b", loop.code)
        if pixels and re.search(r"loader", loop.code.partition(":")[0]):
            yield change(loop.body[0].before(f"{pixels[1]} = {pixels[1]} / 255.0"))


@mutator("double-scaling")
def scaled_again_in_the_transform(program: Program) -> Iterator[Change]:
    for call in program.calls(r"transforms\.ToTensor"):
        if any(site.func == "transforms.Compose" for site in call.ancestors()):
            yield change(call.put("transforms.ToTensor(), transforms.Lambda(lambda x: x / 255)"), at=[call.statement])


@mutator("cuda-in-dataset")
def rows_moved_in_the_workers(program: Program) -> Iterator[Change]:
    with_workers = [site for site in loaders(program) if "num_workers" in site.code]
    for returned in program.sites(cst.Return):
        function = returned.statement.function
        if with_workers and function and function.node.name.value == "__getitem__" and "torch" in function.code:
            first = returned.statement.value.node.elements[0].value
            yield change(returned.at(first).put(f"{returned.at(first).code}.cuda()"), at=[function, *with_workers])


# --- metrics ---

ASYMMETRIC = "(f1|fbeta|precision|recall|r2|balanced_accuracy)_score|classification_report|confusion_matrix"
RANKING = "roc_auc_score|average_precision_score|log_loss"


@mutator("swapped-metric-arguments")
def arguments_swapped(program: Program) -> Iterator[Change]:
    for call in program.calls(f"{ASYMMETRIC}|{RANKING}"):
        first, second = call.args[:2]
        yield change(first.put(second.code), second.put(first.code), at=[call])


@mutator("hard-labels-in-ranking-metric")
def classes_instead_of_scores(program: Program) -> Iterator[Change]:
    for call in program.sites(cst.Subscript):
        if re.fullmatch(r"[\w.]+\.predict_proba\([\w\[\].]+\)\[:, 1\]", call.code):
            plain = call.code.replace("predict_proba", "predict").removesuffix("[:, 1]")
            yield change(call.put(plain), at=list(program.calls(RANKING)))


@mutator("accuracy-by-batches")
def divided_by_the_number_of_batches(program: Program) -> Iterator[Change]:
    for division in program.sites(cst.BinaryOperation):
        if re.fullmatch(
            r"(correct|right|hits|top1|running_corrects) / (total|seen|n|rows|count|len\(loader\.dataset\))", division.code
        ):
            loops = [site for site in division.source.of(cst.For) if site.range[1] < division.range[0]]
            iterable = loops[-1].at(loops[-1].node.iter).code
            if "loader" in iterable:
                yield change(division.at(division.node.right).put(f"len({iterable})"), at=[division.statement])


@mutator("accuracy-by-batches")
def accuracies_of_batches_added(program: Program) -> Iterator[Change]:
    for added in program.statements(r"(correct|running_corrects|right|hits) \+= \(.*\)\.sum\(\)\.item\(\)"):
        name = added.code.partition(" ")[0]
        scope = added.function.inside() if added.function else added.source.sites
        division = [site for site in scope if isinstance(site.node, cst.BinaryOperation) and site.code.startswith(f"{name} / ")]
        if division and added.loop and "len(loader.dataset)" not in division[-1].code:
            iterable = added.loop.at(added.loop.node.iter).code
            yield change(
                added.sub(r"\.sum\(\)\.item", ".float().mean().item"),
                division[-1].at(division[-1].node.right).put(f"len({iterable})"),
                at=[added, division[-1].statement],
            )


@mutator("argmax-over-batch", "softmax-over-batch", "silent-broadcast", "shape-mismatch")
def argmax_along_the_batch(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.argmax"):
        if call.args and re.search(r"(dim=)?(1|-1)\)$", call.code) and not re.search(r"axis|\.transpose", call.statement.code):
            compared = list(beside(call, r".*=="))
            yield change(call.sub(r"(dim=)?-?1\)$", "dim=0)"), at=[call.statement, *compared])


@mutator("metric-not-reset")
def reset_dropped(program: Program) -> Iterator[Change]:
    for call in program.statements(r"self\.\w+\.reset\(\)"):
        metric = call.code.removesuffix(".reset()")
        used = [site for site in program.sites(cst.SimpleStatementLine) if metric in site.code]
        yield change(call.drop(), at=[*used, call.function])


# --- numbers and tensors ---


@mutator("nan-equality")
def compared_with_nan(program: Program) -> Iterator[Change]:
    for call in program.calls(r"np\.isnan"):
        yield change(call.put(f"({call.args[0].code} == np.nan)"), at=[call.statement])
    for call in program.calls(r".*\.isna"):
        yield change(
            call.source.importing("import numpy as np"),
            call.put(f"{call.func.removesuffix('.isna')} == np.nan"),
            at=[call.statement],
        )


@mutator("discarded-result")
def result_thrown_away(program: Program) -> Iterator[Change]:
    for statement in program.sites(cst.SimpleStatementLine):
        target = re.escape(statement.target)
        if (
            target
            and re.match(rf"{target} = {target}\.(to|cuda|drop|drop_duplicates|fillna|reset_index|float)\(", statement.code)
            and not re.match(r"model|net|self", target)
            and "tokenizer(" not in statement.scope  # whose batches move in place
        ):
            yield change(statement.put(statement.value.code))


@mutator("ambiguous-squeeze")
def squeezed_without_an_axis(program: Program) -> Iterator[Change]:
    for call in squeezes_before_a_loss(program):
        yield change(call.sub(r"\.squeeze\(-?1\)$", ".squeeze()"), at=[call.statement])


@mutator("view-as-transpose")
def viewed_instead_of_transposed(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.transpose"):
        heads = re.fullmatch(r"(\w)\.view\((\w), (\w), (self\.\w+), ([^()]+|.*\))\)\.transpose\(1, 2\)", call.code)
        if heads:
            x, b, t, h, d = heads.groups()
            yield change(call.put(f"{x}.view({b}, {h}, {t}, {d})"), at=[call.statement])
    for call in program.calls(r"images\.permute\(0, 3, 1, 2\)\.contiguous"):
        yield change(call.put("images.view(images.size(0), images.size(3), images.size(1), images.size(2))"), at=[call.statement])


@mutator("batch-first-mismatch")
def batch_first_left_out(program: Program) -> Iterator[Change]:
    for call in program.calls(r"nn\.(LSTM|GRU|TransformerEncoderLayer)"):
        if "pack_padded_sequence" not in call.source.text:
            used = [site for site in program.calls(r"self\.(rnn|encoder)") if site.source is call.source]
            yield change(call.sub(r", batch_first=True", ""), at=[*used, call.statement])


@mutator("invalid-einops-pattern")
def axis_left_out_of_a_pattern(program: Program) -> Iterator[Change]:
    for call in program.calls("rearrange|repeat"):
        pattern = call.args[1]
        text = pattern.code.replace("(p1 p2 c)", "(p1 p2)").replace("-> b 1 d", "-> b 1 e")
        yield change(pattern.put(text), at=[call])


@mutator("untimed-cuda")
def not_synchronised(program: Program) -> Iterator[Change]:
    functions = {site.function.node: site.function for site in program.calls(r"torch\.cuda\.synchronize") if site.function}
    for function in functions.values():
        if "train_epoch" in function.code:  # whose losses are read in each step, which waits
            continue
        waits = [site.statement for site in function.calls(r"torch\.cuda\.synchronize")]
        clocks = [site.statement for site in function.calls(r"time\.\w+")]
        yield change([site.drop() for site in waits], at=clocks)


@mutator("invalid-step-parameter")
def step_misspelt(program: Program) -> Iterator[Change]:
    for text in program.sites(cst.SimpleString):
        if "__" in text.code and re.match(r'"(svc|columns)__', text.code):
            searches = list(program.calls("GridSearchCV"))
            yield change(
                text.put(text.code.replace("svc__", "svm__").replace("columns__", "column__")), at=[text.statement, *searches]
            )


# --- language models ---


@mutator("padding-masks-eos")
def end_of_text_as_padding(program: Program) -> Iterator[Change]:
    collators = list(program.calls("DataCollatorForLanguageModeling"))
    for call in program.calls(r"tokenizer\.add_special_tokens"):
        if collators and "additional_special_tokens" in call.code:
            yield change(
                call.sub(r'"pad_token": "<\|pad\|>", ', ""),
                call.statement.after("tokenizer.pad_token = tokenizer.eos_token"),
                at=collators,
            )


@mutator("labels-without-mask")
def padding_counted(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"labels\[.*\] = -100"):
        yield change(statement.drop(), at=beside(statement, r"labels = |batch\[\"labels\"\]"))


@mutator("missing-resize-embeddings")
def embeddings_not_resized(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"model\.resize_token_embeddings\("):
        added = [*program.calls(r"tokenizer\.add_special_tokens"), *program.calls(r"AutoModelForCausalLM\.from_pretrained")]
        yield change(statement.drop(), at=[*added, *(site.statement for site in added)])


@mutator("right-padded-generation")
def padded_on_the_right(program: Program) -> Iterator[Change]:
    used = [*program.calls(r"model\.generate"), *(call for call in program.calls("tokenizer") if "padding=True" in call.code)]
    at = [*used, *(site.statement for site in used)]
    for statement in program.statements(r'tokenizer\.padding_side = "left"'):
        yield change(statement.drop(), at=[site for site in at if statement.function.contains(site)])
        yield change(statement.sub("left", "right"), at=[site for site in at if statement.function.contains(site)])
    for call in program.calls(r"AutoTokenizer\.from_pretrained"):
        if call.keyword("padding_side") is not None:
            yield change(call.sub(r', padding_side="left"', ""), at=at)
            yield change(call.sub("left", "right"), at=at)


# --- security ---


@mutator("unsafe-torch-load")
def anything_unpickled(program: Program) -> Iterator[Change]:
    for call in program.calls(r"torch\.load"):
        yield change(call.sub("weights_only=True", "weights_only=False"))


@mutator("untrusted-code")
def remote_code_trusted(program: Program) -> Iterator[Change]:
    for call in program.calls(r"Auto\w+\.from_pretrained"):
        if call.args[0].code == "folder":
            continue
        yield change(call.sub(r"\)$", ", trust_remote_code=True)"))
    for call in program.calls(r"torch\.hub\.load"):
        yield change(call.put(re.sub(r":v[\d.]+", "", call.code).removesuffix(")") + ", trust_repo=True)"))


@mutator("untrusted-code", "unsafe-torch-load")
def weights_unpickled(program: Program) -> Iterator[Change]:
    for call in program.calls(r"torch\.load"):
        if "state" in call.statement.code:
            yield change(call.source.importing("import pickle"), call.put(f'pickle.load(open({call.args[0].code}, "rb"))'))
