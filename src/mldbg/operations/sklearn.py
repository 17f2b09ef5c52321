"""scikit-learn and imbalanced-learn: what is learned from data, what splits it, what evaluates on it."""

from __future__ import annotations

from mldbg.operations.effect import CrossValidates, Derives, Effect, Resamples, Scales, Special, SplitsArrays, Writes


def _names(package: str, names: str) -> frozenset[str]:
    return frozenset(f"{package}.{name}" for name in names.split())


TRANSFORMERS: frozenset[str] = (
    _names(
        "sklearn.preprocessing",
        "StandardScaler MinMaxScaler MaxAbsScaler RobustScaler QuantileTransformer PowerTransformer KBinsDiscretizer "
        "OneHotEncoder OrdinalEncoder TargetEncoder KernelCenterer SplineTransformer Imputer",
    )
    | _names("sklearn.impute", "SimpleImputer KNNImputer IterativeImputer")
    | _names(
        "sklearn.decomposition",
        "PCA RandomizedPCA IncrementalPCA KernelPCA SparsePCA MiniBatchSparsePCA TruncatedSVD FastICA NMF MiniBatchNMF "
        "FactorAnalysis LatentDirichletAllocation DictionaryLearning MiniBatchDictionaryLearning",
    )
    | _names("sklearn.feature_extraction.text", "CountVectorizer TfidfVectorizer TfidfTransformer")
    | _names("sklearn.feature_extraction", "DictVectorizer")
    | _names("sklearn.compose", "ColumnTransformer")
    | _names("sklearn.pipeline", "FeatureUnion")
    | _names("sklearn.manifold", "Isomap LocallyLinearEmbedding")
    | _names("sklearn.discriminant_analysis", "LinearDiscriminantAnalysis")
    | _names("sklearn.kernel_approximation", "Nystroem")
    | _names("sklearn.cross_decomposition", "PLSRegression CCA")
)
"""Estimators whose transform depends on the data they were fitted on.

Left out on purpose: stateless ones (Normalizer, Binarizer, FunctionTransformer, HashingVectorizer, PolynomialFeatures, random
projections) and label encoders, which learn only the names of the classes."""

TARGET_ENCODERS: frozenset[str] = _names(
    "category_encoders",
    "TargetEncoder LeaveOneOutEncoder CatBoostEncoder JamesSteinEncoder MEstimateEncoder WOEEncoder GLMMEncoder QuantileEncoder",
) | _names("feature_engine.encoding", "MeanEncoder WoEEncoder")
"""Estimators that put statistics of the target in the place of categories, and of each row its own target among them."""

TOLD_BEFORE: dict[str, tuple[str, frozenset[object]]] = {
    "sklearn.preprocessing.SplineTransformer": ("knots", frozenset({"uniform", "quantile", None})),
    "sklearn.preprocessing.OneHotEncoder": ("categories", frozenset({"auto", None})),
    "sklearn.preprocessing.OrdinalEncoder": ("categories", frozenset({"auto", None})),
    "sklearn.feature_extraction.text.CountVectorizer": ("vocabulary", frozenset({None})),
}
"""Estimators that learn nothing where an argument already gives them what they would learn; and the values of that argument for
which they still learn. `TfidfVectorizer` is none: it learns how rare each word of a given vocabulary is."""

FILLS_CONSTANT: dict[str, tuple[str, str]] = {"sklearn.impute.SimpleImputer": ("strategy", "constant")}
"""Estimators that learn nothing for one value of an argument."""

NUMBERING: frozenset[str] = _names("sklearn.preprocessing", "LabelEncoder LabelBinarizer MultiLabelBinarizer")
"""Encoders that learn which categories there are, and nothing that leaks. Fitted anew they may number the same ones otherwise."""

BUILDERS: dict[str, str] = {"sklearn.compose.make_column_transformer": "sklearn.compose.ColumnTransformer"}
"""Functions that return an instance of a class."""

SELECTORS: frozenset[str] = _names(
    "sklearn.feature_selection",
    "SelectKBest SelectPercentile SelectFpr SelectFdr SelectFwe GenericUnivariateSelect RFE RFECV SelectFromModel "
    "SequentialFeatureSelector",
) | frozenset({"boruta.BorutaPy", "mlxtend.feature_selection.SequentialFeatureSelector"})
"""Estimators that choose columns with the help of the target."""

ABOUT_FIT: frozenset[str] = frozenset({"support_", "ranking_", "scores_", "pvalues_"})
"""Attributes in which a fitted selector says which columns it chose."""

BEST_FOUND: frozenset[str] = frozenset({"best_estimator_", "best_estimator"})
"""Attributes in which a search holds the estimator that it fitted last, on all rows that it was given."""

RESAMPLERS: frozenset[str] = _names(
    "imblearn.over_sampling", "SMOTE SMOTENC SMOTEN ADASYN BorderlineSMOTE KMeansSMOTE SVMSMOTE RandomOverSampler"
) | _names("imblearn.combine", "SMOTEENN SMOTETomek")
"""Samplers that add rows made from other rows. Under-sampling only drops rows and leaks nothing."""

PIPELINES: frozenset[str] = frozenset(
    {
        "sklearn.pipeline.Pipeline",
        "sklearn.pipeline.make_pipeline",
        "imblearn.pipeline.Pipeline",
        "imblearn.pipeline.make_pipeline",
    }
)

SEARCHES: frozenset[str] = _names(
    "sklearn.model_selection", "GridSearchCV RandomizedSearchCV HalvingGridSearchCV HalvingRandomSearchCV"
)
"""Estimators whose fit cross-validates."""

SPLITTERS: frozenset[str] = _names(
    "sklearn.model_selection",
    "KFold StratifiedKFold GroupKFold StratifiedGroupKFold RepeatedKFold RepeatedStratifiedKFold ShuffleSplit "
    "StratifiedShuffleSplit GroupShuffleSplit TimeSeriesSplit LeaveOneOut LeavePOut LeaveOneGroupOut LeavePGroupsOut "
    "PredefinedSplit",
)
"""Classes whose split() yields pairs of training and test indices."""

VALIDATION_KEYWORDS: frozenset[str] = frozenset(
    [
        "validation_data",
        "eval_set",
        "eval_data",
        "eval_sets",
        "evals",
        "valid_sets",
        "val_data",
        "valid_data",
        "test_data",
        "eval_dataset",
        "val_dataset",
        "X_val",
        "X_valid",
        "X_test",
        "x_val",
        "x_valid",
        "x_test",
    ]
)
"""Arguments of a fit that it evaluates on."""

EVALUATING_METHODS: frozenset[str] = frozenset(
    {"predict", "predict_proba", "predict_log_proba", "decision_function", "score", "evaluate", "predict_generator"}
)

PREDICTOR_PACKAGES: tuple[str, ...] = (
    "sklearn.linear_model.",
    "sklearn.ensemble.",
    "sklearn.tree.",
    "sklearn.svm.",
    "sklearn.neighbors.",
    "sklearn.naive_bayes.",
    "sklearn.neural_network.",
    "sklearn.gaussian_process.",
    "sklearn.discriminant_analysis.",
    "sklearn.dummy.",
    "sklearn.calibration.",
    "xgboost.",
    "lightgbm.",
    "catboost.",
)
"""Packages whose classes predict."""

NETWORK_PACKAGES: tuple[str, ...] = ("keras.", "tensorflow.keras.", "tf_keras.")
"""Packages of networks, which take all columns of what they are fitted on."""

UNIMPORTED: dict[str, str] = {
    name.rpartition(".")[2]: name
    for name in sorted(
        TRANSFORMERS
        | SELECTORS
        | RESAMPLERS
        | SPLITTERS
        | SEARCHES
        | NUMBERING
        | _names(
            "sklearn.model_selection", "train_test_split cross_val_score cross_validate cross_val_predict permutation_test_score"
        )
        | _names("sklearn.preprocessing", "minmax_scale maxabs_scale robust_scale")
    )
    if name.startswith(("sklearn.", "imblearn."))
}
"""What these names mean where nothing binds them: in snippets, and where cells with the imports are left out."""

ROWS: dict[str, Effect] = {
    "sklearn.model_selection.train_test_split": SplitsArrays(),
    "sklearn.model_selection.cross_val_score": CrossValidates(),
    "sklearn.model_selection.cross_validate": CrossValidates(),
    "sklearn.model_selection.cross_val_predict": CrossValidates(),
    "sklearn.model_selection.permutation_test_score": CrossValidates(),
    "sklearn.utils.resample": Resamples("replace"),
    "sklearn.utils.shuffle": Special("shuffle"),
    "sklearn.utils.check_array": Derives(),
    "sklearn.utils.check_X_y": Special("shuffle"),
    "sklearn.base.clone": Special("clone"),
    "sklearn.preprocessing.scale": Scales(),
    "sklearn.preprocessing.minmax_scale": Scales(position=2),
    "sklearn.preprocessing.maxabs_scale": Scales(),
    "sklearn.preprocessing.robust_scale": Scales(),
    "sklearn.preprocessing.quantile_transform": Scales(),
    "sklearn.preprocessing.power_transform": Scales(position=9),
    "sklearn.preprocessing.normalize": Scales(axis=1, position=2),
    "keras.utils.normalize": Scales(axis=-1),
    "scipy.stats.zscore": Scales(),
    "scipy.cluster.vq.whiten": Scales(position=9),
    "xgboost.cv": CrossValidates(),
    "lightgbm.cv": CrossValidates(),
    "joblib.dump": Writes(last=0),
}
