"""Bugs about leakage and splits, planted in right programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst
from mutants_places import Change, Program, Site, change, mutator
from mutants_training import beside, index

FIRST = r"[A-Za-z_]\w*"


def splits(program: Program) -> Iterator[Site]:
    """The calls that hold out rows of arrays of features and labels."""
    for call in program.calls("train_test_split"):
        named = len(call.args) >= 2 and all(re.fullmatch(FIRST, arg.code) for arg in call.args[:2])
        if named and not re.search(r"rest|dev", call.args[0].code):
            yield call


def numeric(program: Program) -> bool:
    """Whether the features are numbers only."""
    return not re.search(r"OneHotEncoder|Tfidf|category|shift\(", program.text)


def cross_validations(program: Program) -> Iterator[Site]:
    for call in program.calls(r"cross_val_score|cross_val_predict"):
        if len(call.args) >= 3 and numeric(program) and re.fullmatch(FIRST, call.args[1].code):
            yield call


def labelled(split: Site) -> bool:
    """Whether columns are looked up by name after the split."""
    return bool(re.search(r'X_(train|test)\["', split.scope))


def table(split: Site) -> bool:
    """Whether the features are columns of a DataFrame."""
    return bool(re.search(rf"\b{split.args[0].code} = \w+\.drop\(columns=\[[^\]]*\]\)\n", split.scope))


def regression(program: Program) -> bool:
    return bool(re.search(r"Regressor|MSELoss", program.text))


def uses_after(split: Site) -> list[Site]:
    """The statements after the split, in the same function, that fit or transform something."""
    return [site for site in beside(split, r".*(\.fit|transform)\(") if site.range[0] > split.range[0]]


# --- fitted before the split ---


@mutator("fit-before-split", "preprocessing-outside-cv")
def scaled_before_the_split(program: Program) -> Iterator[Change]:
    for split in splits(program) if numeric(program) else ():
        x = split.args[0].code
        planted = f"{x}[{x}.columns]" if labelled(split) else x
        imported = split.source.importing("from sklearn.preprocessing import StandardScaler")
        yield change(
            imported,
            split.statement.before(f"{planted} = StandardScaler().fit_transform({x})"),
            at=[split, *uses_after(split)],
        )


@mutator("fit-before-split", "fit-on-test", "preprocessing-outside-cv", "selection-before-split")
def own_transformer_moved_before_the_split(program: Program) -> Iterator[Change]:
    """The very transformer of the script is fitted on all rows, and the parts are no longer transformed."""
    for split in splits(program):
        x = split.args[0].code
        for made in beside(split, r"\w+ = \w*(Scaler|Vectorizer|Imputer)\("):
            name = made.target
            fitted = list(beside(split, rf"\w+ = {name}\.fit_transform\("))
            applied = list(beside(split, rf"\w+ = {name}\.transform\("))
            if index(made) > index(split.statement) and fitted and applied:
                planted = f"{x}[{x}.columns]" if labelled(split) else x
                edits = [made.drop(), split.statement.before(f"{made.code}\n{planted} = {name}.fit_transform({x})")]
                for site in [*fitted, *applied]:
                    argument = site.value.args[0].code
                    edits.append(site.drop() if argument == site.target else site.value.put(argument))
                yield change(edits, at=[split, *(site for site in fitted if site.value.args[0].code != site.target)])


@mutator("fit-before-split")
def texts_vectorised_before_the_split(program: Program) -> Iterator[Change]:
    for split in program.calls("train_test_split"):
        vectorised = list(beside(split, r"X_train, X_test = vectorise\("))
        if vectorised and split.args[0].code == "texts":
            yield change(
                split.statement.before("texts = TfidfVectorizer(max_features=args.max_features).fit_transform(texts)"),
                vectorised[0].put("X_train, X_test = train_texts, test_texts"),
                at=[split],
            )


@mutator("fit-on-test")
def test_part_fitted(program: Program) -> Iterator[Change]:
    for call in program.calls(r"\w+\.transform"):
        if "test" in call.args[0].code:
            yield change(call.sub(r"\.transform\(", ".fit_transform("), at=[call.statement])


@mutator("fit-on-test", "score-on-train", "overlapping-splits")
def model_fitted_on_the_test_part(program: Program) -> Iterator[Change]:
    for call in program.calls(r"\w+\.fit"):
        if re.search(r"X_train\w*, y_train", call.code) and "X_test" in call.scope:
            later = [site for site in beside(call, r".*(predict|score|mean_\w+error)") if site.range > call.range]
            yield change(call.sub(r"train", "test"), at=[call.statement, *later])


@mutator("selection-before-split", "fit-before-split")
def selected_before_the_split(program: Program) -> Iterator[Change]:
    if not numeric(program) or regression(program):
        return
    for split in splits(program):
        if not labelled(split):
            x, y = (arg.code for arg in split.args[:2])
            imported = split.source.importing("from sklearn.feature_selection import SelectKBest, f_classif")
            planted = split.statement.before(f"{x} = SelectKBest(f_classif, k=10).fit_transform({x}, {y})")
            yield change(imported, planted, at=[split, *uses_after(split)])


@mutator("selection-before-split", "preprocessing-outside-cv")
def selected_outside_the_cross_validation(program: Program) -> Iterator[Change]:
    for call in cross_validations(program):
        imported = call.source.importing("from sklearn.feature_selection import SelectKBest, f_classif")
        x, y = call.args[1:3]
        planted = call.statement.before(f"X_selected = SelectKBest(f_classif, k=10).fit_transform({x.code}, {y.code})")
        yield change(imported, planted, x.put("X_selected"), at=[call])


@mutator("resample-before-split")
def oversampled_before_the_split(program: Program) -> Iterator[Change]:
    if not numeric(program) or regression(program) or "fillna" in program.text:
        return
    for split in splits(program):
        x, y = (arg.code for arg in split.args[:2])
        imported = split.source.importing("from imblearn.over_sampling import SMOTE")
        yield change(imported, split.statement.before(f"{x}, {y} = SMOTE(random_state=0).fit_resample({x}, {y})"), at=[split])


@mutator("resample-before-split")
def oversampled_outside_the_cross_validation(program: Program) -> Iterator[Change]:
    for call in cross_validations(program):
        if call.keyword("groups") is None:
            x, y = call.args[1:3]
            imported = call.source.importing("from imblearn.over_sampling import SMOTE")
            planted = f"X_resampled, y_resampled = SMOTE(random_state=0).fit_resample({x.code}, {y.code})"
            yield change(imported, call.statement.before(planted), x.put("X_resampled"), y.put("y_resampled"), at=[call])


@mutator("resample-before-split")
def minority_copied_before_the_split(program: Program) -> Iterator[Change]:
    for split in splits(program):
        x, y = (arg.code for arg in split.args[:2])
        if table(split) and not regression(program):
            planted = split.statement.before(
                f"rare = {y} == 1\n{x} = pd.concat([{x}, {x}[rare], {x}[rare]])\n{y} = pd.concat([{y}, {y}[rare], {y}[rare]])"
            )
            yield change(split.source.importing("import pandas as pd"), planted, at=[split])


@mutator("statistic-before-split")
def filled_before_the_split(program: Program) -> Iterator[Change]:
    for split in splits(program):
        x = split.args[0].code
        if table(split) and numeric(program):
            yield change(split.statement.before(f"{x} = {x}.fillna({x}.mean())"), at=[split])
            yield change(split.statement.before(f"{x} = {x}.fillna({x}.median())"), at=[split])


@mutator("statistic-before-split", "fit-before-split")
def standardised_before_the_split(program: Program) -> Iterator[Change]:
    for split in splits(program):
        x = split.args[0].code
        if numeric(program):
            axis = "" if table(split) else "axis=0"
            yield change(split.statement.before(f"{x} = ({x} - {x}.mean({axis})) / {x}.std({axis})"), at=[split])
    for statement in program.statements(r"(mean|std) = train_df\["):
        yield change(statement.sub("train_df", "rides"), at=list(program.statements(r"train_df, test_df = |x_\w+ = ")))


@mutator("preprocessing-outside-cv", "fit-before-split")
def scaled_outside_the_cross_validation(program: Program) -> Iterator[Change]:
    for call in cross_validations(program):
        x = call.args[1]
        imported = call.source.importing("from sklearn.preprocessing import StandardScaler")
        planted = call.statement.before(f"X_scaled = StandardScaler().fit_transform({x.code})")
        yield change(imported, planted, x.put("X_scaled"), at=[call])


# --- features that know too much ---


@mutator("target-in-features")
def target_kept(program: Program) -> Iterator[Change]:
    fits = list(program.calls(r"\w+\.fit|train_test_split|cross_val_score"))
    for target in ("price", "churned", "arrhythmia", "quality", "Class"):
        for call in program.calls(r"[\w.]+\.drop"):
            if f'"{target}"' in call.code and re.match(r"X\b", call.target):
                rest = re.sub(rf'(, )?"{target}"(, )?', "", call.code)
                text = call.func.removesuffix(".drop") if "columns=[]" in rest else rest
                yield change(call.put(text), at=[call.statement, *fits])
    for statement in program.statements(r"features = \[column for column in frame\.columns if column != TARGET\]"):
        yield change(statement.put("features = list(frame.columns)"), at=[*program.statements("X, y = "), *fits])
    for statement in program.statements(r"features = \["):
        target = re.search(r'frame\["target"\]', program.text)
        if target:
            yield change(statement.sub(r"\]$", ', "target"]'), at=[*program.statements("X, y = "), *fits])


@mutator("future-feature")
def shift_turned_over(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.shift"):
        if "target" not in call.statement.code:
            yield change(call.args[0].put(f"-{call.args[0].code}"), at=[call.statement])


@mutator("future-feature")
def window_centred(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.rolling"):
        yield change(call.args[0].put(f"{call.args[0].code}, center=True"), at=[call.statement])


@mutator("future-feature")
def filled_backwards(program: Program) -> Iterator[Change]:
    for call in program.calls(r".*\.ffill"):
        yield change(call.sub("ffill", "bfill"), at=[call.statement])


@mutator("leaky-target-encoding", "statistic-before-split", "target-in-features")
def categories_encoded_by_their_target(program: Program) -> Iterator[Change]:
    for call in program.calls("encode_out_of_fold"):
        if call.target:
            yield change(call.put('train.groupby("origin")["delay"].transform("mean")'))
            for split in program.statements(r"train, test = train_test_split"):
                late = call.drop(), *(site.drop() for site in program.statements(r'test\["origin_delay"\]'))
                yield change(
                    split.before('df["origin_delay"] = df.groupby("origin")["delay"].transform("mean")'), late, at=[split]
                )
    for statement in program.statements(r"frame = prepare\(RAW\)"):
        yield change(statement.after('frame["purpose"] = frame.groupby("purpose", observed=True)[TARGET].transform("mean")'))
    for statement in program.statements(r'df = df\.drop\(columns=\["signup_note"\]\)'):
        yield change(statement.after('df["city"] = df["city"].map(df.groupby("city")["churned"].mean())'))


# --- time and groups ---


@mutator("shuffled-time-split")
def time_shuffled(program: Program) -> Iterator[Change]:
    for call in program.calls("train_test_split"):
        if call.keyword("shuffle") is not None:
            yield change(call.sub("shuffle=False", "shuffle=True, random_state=0"), at=[call.statement])
            yield change(call.sub("shuffle=False", "random_state=0"), at=[call.statement])
    for call in program.calls("TimeSeriesSplit"):
        scored = list(program.calls("cross_val_score"))
        yield change(
            call.source.importing("from sklearn.model_selection import KFold"),
            call.put("KFold(n_splits=5, shuffle=True, random_state=0)"),
            at=[call.statement, *scored],
        )
    for statement in program.statements(r"train_df, test_df = "):
        imported = statement.source.importing("from sklearn.model_selection import train_test_split")
        yield change(imported, statement.put("train_df, test_df = train_test_split(rides, test_size=0.2, random_state=0)"))


@mutator("group-leakage")
def groups_ignored(program: Program) -> Iterator[Change]:
    for call in program.calls("GroupShuffleSplit"):
        imported = call.source.importing("from sklearn.model_selection import ShuffleSplit")
        split = next(program.calls(r"splitter\.split"))
        yield change(imported, call.sub("GroupShuffleSplit", "ShuffleSplit"), split.sub(r", groups=groups", ""))
    for call in program.calls("GroupKFold"):
        imported = call.source.importing("from sklearn.model_selection import KFold")
        scored = next(program.calls("cross_val_score"))
        yield change(
            imported, call.put("KFold(n_splits=5, shuffle=True, random_state=0)"), scored.sub(r", groups=train_groups", "")
        )
    for start in program.statements(r"splitter = "):
        later = start.siblings[index(start) + 1 : index(start) + 4]
        yield change(
            start.source.importing("from sklearn.model_selection import train_test_split"),
            start.put("X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=3)"),
            [site.drop() for site in later],
            *(site.sub(r"iloc\[train_index\]", "loc[X_train.index]") for site in program.statements("train_groups = ")),
        )


# --- what is held out, and what for ---


@mutator("test-as-validation", "test-set-reused")
def validated_on_the_test_part(program: Program) -> Iterator[Change]:
    callbacks = [*program.calls(r"keras\.callbacks\.\w+"), *program.calls(r"xgb\.XGBClassifier")]
    for call in program.calls(r"model\.fit"):
        data = call.keyword("validation_data") or call.keyword("eval_set")
        if data is not None and "x_test" in program.text.lower():
            yield change(data.sub(r"_val\b", "_test"), at=[call, call.statement, *callbacks])
        if call.keyword("validation_split") is not None:
            yield change(call.sub(r"validation_split=0\.2", "validation_data=(x_test, y_test)"), at=[call, *callbacks])


@mutator("test-as-validation", "test-set-reused")
def best_weights_by_the_test_part(program: Program) -> Iterator[Change]:
    for call in program.calls(r"accuracy|evaluate"):
        if call.args and call.args[0].code == "val_loader" and "test_loader" in program.text and call.loop:
            chosen = list(call.loop.inside(cst.If))
            kept = [
                site for site in call.loop.inside(cst.SimpleStatementLine) if "deepcopy" in site.code or "scheduler" in site.code
            ]
            yield change(call.args[0].put("test_loader"), at=[call.statement, *chosen, *kept])


@mutator("test-set-reused", "test-as-validation")
def chosen_by_the_test_score(program: Program) -> Iterator[Change]:
    choices = [*program.calls("max"), *(site for site in program.sites(cst.If) if re.match(r"if \w*score >", site.code))]
    scored = list(program.statements(r"(?!import|from|\"\"\").*(score|auc|f1)"))
    for call in program.calls("choose"):
        yield change(call.sub(r"_val\b", "_test"), at=[call, *choices, *scored])
    for statement in program.statements(r"candidates\[depth\] = "):
        yield change(statement.sub(r"_val\b", "_test"), at=[*choices, *scored])
    for statement in program.statements(r"results\[depth\] = cross_val_score"):
        yield change(
            statement.put("forest.fit(X_train, y_train)\n    results[depth] = forest.score(X_test, y_test)"),
            at=[*choices, *scored],
        )


@mutator("score-on-train")
def scored_on_the_training_part(program: Program) -> Iterator[Change]:
    """All that is said of the test part is said of the training part."""
    for fit in program.statements(r"(\w+ = )?[\w.()]+\.fit\("):
        later = [
            site
            for site in fit.siblings[index(fit) + 1 :]
            if "_test" in site.code and isinstance(site.node, cst.SimpleStatementLine)
        ]
        if re.search(r"_train", fit.code) and later and not re.search("train accuracy|Scaler", fit.scope) and fit.loop is None:
            yield change([site.sub(r"_test", "_train") for site in later], at=[fit])


@mutator("split-unpack-order", "shape-mismatch")
def unpacked_in_another_order(program: Program) -> Iterator[Change]:
    for split in program.calls("train_test_split"):
        names = split.target.split(", ")
        if len(names) == 4:
            target = split.statement.node.body[0].targets[0].target
            a, b, c, d = names
            used = program.statements(r".*(model\(|linear\w*\(|\.fit\()")
            yield change(split.at(target).put(f"{a}, {c}, {b}, {d}"), at=used)


@mutator("shared-transform-split", "random-transform-in-eval")
def transform_of_both_parts_set(program: Program) -> Iterator[Change]:
    for statement in program.statements(r"val_part = Subset\("):
        yield change(statement.put("val_part.dataset.transform = plain"))
    for statement in program.statements(r"val_set, test_set = random_split"):
        yield change(statement.after("val_set.dataset.transform = train_transform"))
    for statement in program.statements(r"train_set, val_set = random_split"):
        yield change(
            statement.after(
                "train_set.dataset.transform = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])"
            )
        )


@mutator("overlapping-splits", "score-on-train", "shuffled-time-split")
def split_twice(program: Program) -> Iterator[Change]:
    for split in splits(program):
        names = split.target.split(", ")
        if len(names) == 4:
            a, b = (arg.code for arg in split.args[:2])
            again = f"{names[0]}, _, {names[2]}, _ = train_test_split({a}, {b}, test_size=0.1, random_state=99)"
            judged = program.statements(r".*(_test|_val|predict|score|model\(|evaluate\()")
            later = [site for site in judged if site.source is not split.source or site.range > split.range]
            yield change(split.statement.after(again), at=[split.statement, *later])


@mutator("overlapping-splits", "random-transform-in-eval")
def one_set_in_two_loaders(program: Program) -> Iterator[Change]:
    loaders = list(program.calls("DataLoader"))
    judged = list(program.statements(r".*(model\(|datasets\.ImageFolder)"))
    for loader in loaders:
        for train, held_out in (("train_set", "val_set"), ("train_part", "val_part")):
            if loader.args[0].code == held_out:
                others = [site.statement for site in loaders if site.args[0].code == train]
                yield change(loader.args[0].put(train), at=[loader.statement, *others, *judged])
                if re.search(rf"{train}, {held_out} = random_split", program.text):
                    yield change(loader.args[0].put(f"{train}.dataset"), at=[loader.statement, *others, *judged])
