"""Parameters of scikit-learn's estimators, of all versions together: what grids and `set_params` may name."""

from __future__ import annotations

from functools import cache

_WRITTEN: dict[str, str] = {
    "sklearn.linear_model.LogisticRegression": (
        "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter multi_class n_jobs penalty random_state solver "
        "tol verbose warm_start"
    ),
    "sklearn.linear_model.LogisticRegressionCV": (
        "Cs class_weight cv dual fit_intercept intercept_scaling l1_ratios max_iter multi_class n_jobs penalty random_state "
        "refit scoring solver tol use_legacy_attributes verbose"
    ),
    "sklearn.linear_model.LinearRegression": "copy_X fit_intercept n_jobs normalize positive tol",
    "sklearn.linear_model.Ridge": "alpha copy_X fit_intercept max_iter normalize positive random_state solver tol",
    "sklearn.linear_model.RidgeCV": (
        "alpha_per_target alphas cv fit_intercept gcv_mode normalize scoring store_cv_results store_cv_values"
    ),
    "sklearn.linear_model.RidgeClassifier": (
        "alpha class_weight copy_X fit_intercept max_iter normalize positive random_state solver tol"
    ),
    "sklearn.linear_model.Lasso": (
        "alpha copy_X fit_intercept max_iter normalize positive precompute random_state selection tol warm_start"
    ),
    "sklearn.linear_model.LassoCV": (
        "alphas copy_X cv eps fit_intercept max_iter n_alphas n_jobs normalize positive precompute random_state selection tol "
        "verbose"
    ),
    "sklearn.linear_model.ElasticNet": (
        "alpha copy_X fit_intercept l1_ratio max_iter normalize positive precompute random_state selection tol warm_start"
    ),
    "sklearn.linear_model.ElasticNetCV": (
        "alphas copy_X cv eps fit_intercept l1_ratio max_iter n_alphas n_jobs normalize positive precompute random_state "
        "selection tol verbose"
    ),
    "sklearn.linear_model.SGDClassifier": (
        "alpha average class_weight early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss max_iter n_iter "
        "n_iter_no_change n_jobs penalty power_t random_state shuffle tol validation_fraction verbose warm_start"
    ),
    "sklearn.linear_model.SGDRegressor": (
        "alpha average early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss max_iter n_iter n_iter_no_change "
        "penalty power_t random_state shuffle tol validation_fraction verbose warm_start"
    ),
    "sklearn.linear_model.Perceptron": (
        "alpha class_weight early_stopping eta0 fit_intercept l1_ratio max_iter n_iter n_iter_no_change n_jobs penalty "
        "random_state shuffle tol validation_fraction verbose warm_start"
    ),
    "sklearn.linear_model.PassiveAggressiveClassifier": (
        "C average class_weight early_stopping fit_intercept loss max_iter n_iter n_iter_no_change n_jobs random_state shuffle "
        "tol validation_fraction verbose warm_start"
    ),
    "sklearn.linear_model.HuberRegressor": "alpha epsilon fit_intercept max_iter tol warm_start",
    "sklearn.linear_model.BayesianRidge": (
        "alpha_1 alpha_2 alpha_init compute_score copy_X fit_intercept lambda_1 lambda_2 lambda_init max_iter n_iter normalize "
        "tol verbose"
    ),
    "sklearn.svm.SVC": (
        "C break_ties cache_size class_weight coef0 decision_function_shape degree gamma kernel max_iter probability "
        "random_state shrinking tol verbose"
    ),
    "sklearn.svm.NuSVC": (
        "break_ties cache_size class_weight coef0 decision_function_shape degree gamma kernel max_iter nu probability "
        "random_state shrinking tol verbose"
    ),
    "sklearn.svm.LinearSVC": (
        "C class_weight dual fit_intercept intercept_scaling loss max_iter multi_class penalty random_state tol verbose"
    ),
    "sklearn.svm.SVR": "C cache_size coef0 degree epsilon gamma kernel max_iter shrinking tol verbose",
    "sklearn.svm.NuSVR": "C cache_size coef0 degree gamma kernel max_iter nu shrinking tol verbose",
    "sklearn.svm.LinearSVR": "C dual epsilon fit_intercept intercept_scaling loss max_iter random_state tol verbose",
    "sklearn.svm.OneClassSVM": "cache_size coef0 degree gamma kernel max_iter nu shrinking tol verbose",
    "sklearn.ensemble.RandomForestClassifier": (
        "bootstrap ccp_alpha class_weight criterion max_depth max_features max_leaf_nodes max_samples min_impurity_decrease "
        "min_impurity_split min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators n_jobs "
        "oob_score random_state verbose warm_start"
    ),
    "sklearn.ensemble.RandomForestRegressor": (
        "bootstrap ccp_alpha criterion max_depth max_features max_leaf_nodes max_samples min_impurity_decrease "
        "min_impurity_split min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators n_jobs "
        "oob_score random_state verbose warm_start"
    ),
    "sklearn.ensemble.ExtraTreesClassifier": (
        "bootstrap ccp_alpha class_weight criterion max_depth max_features max_leaf_nodes max_samples min_impurity_decrease "
        "min_impurity_split min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators n_jobs "
        "oob_score random_state verbose warm_start"
    ),
    "sklearn.ensemble.ExtraTreesRegressor": (
        "bootstrap ccp_alpha criterion max_depth max_features max_leaf_nodes max_samples min_impurity_decrease "
        "min_impurity_split min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators n_jobs "
        "oob_score random_state verbose warm_start"
    ),
    "sklearn.ensemble.GradientBoostingClassifier": (
        "ccp_alpha criterion init learning_rate loss max_depth max_features max_leaf_nodes min_impurity_decrease "
        "min_impurity_split min_samples_leaf min_samples_split min_weight_fraction_leaf n_estimators n_iter_no_change presort "
        "random_state subsample tol validation_fraction verbose warm_start"
    ),
    "sklearn.ensemble.GradientBoostingRegressor": (
        "alpha ccp_alpha criterion init learning_rate loss max_depth max_features max_leaf_nodes min_impurity_decrease "
        "min_impurity_split min_samples_leaf min_samples_split min_weight_fraction_leaf n_estimators n_iter_no_change presort "
        "random_state subsample tol validation_fraction verbose warm_start"
    ),
    "sklearn.ensemble.HistGradientBoostingClassifier": (
        "categorical_features class_weight early_stopping interaction_cst l2_regularization learning_rate loss max_bins "
        "max_depth max_features max_iter max_leaf_nodes min_samples_leaf monotonic_cst n_iter_no_change random_state scoring "
        "tol validation_fraction verbose warm_start"
    ),
    "sklearn.ensemble.HistGradientBoostingRegressor": (
        "categorical_features early_stopping interaction_cst l2_regularization learning_rate loss max_bins max_depth "
        "max_features max_iter max_leaf_nodes min_samples_leaf monotonic_cst n_iter_no_change quantile random_state scoring tol "
        "validation_fraction verbose warm_start"
    ),
    "sklearn.ensemble.AdaBoostClassifier": "algorithm base_estimator estimator learning_rate n_estimators random_state",
    "sklearn.ensemble.AdaBoostRegressor": "base_estimator estimator learning_rate loss n_estimators random_state",
    "sklearn.ensemble.BaggingClassifier": (
        "base_estimator bootstrap bootstrap_features estimator max_features max_samples n_estimators n_jobs oob_score "
        "random_state verbose warm_start"
    ),
    "sklearn.ensemble.BaggingRegressor": (
        "base_estimator bootstrap bootstrap_features estimator max_features max_samples n_estimators n_jobs oob_score "
        "random_state verbose warm_start"
    ),
    "sklearn.ensemble.VotingClassifier": "estimators flatten_transform n_jobs verbose voting weights",
    "sklearn.ensemble.VotingRegressor": "estimators n_jobs verbose weights",
    "sklearn.ensemble.StackingClassifier": "cv estimators final_estimator n_jobs passthrough stack_method verbose",
    "sklearn.ensemble.StackingRegressor": "cv estimators final_estimator n_jobs passthrough verbose",
    "sklearn.ensemble.IsolationForest": (
        "behaviour bootstrap contamination max_features max_samples n_estimators n_jobs random_state verbose warm_start"
    ),
    "sklearn.tree.DecisionTreeClassifier": (
        "ccp_alpha class_weight criterion max_depth max_features max_leaf_nodes min_impurity_decrease min_impurity_split "
        "min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst presort random_state splitter"
    ),
    "sklearn.tree.DecisionTreeRegressor": (
        "ccp_alpha criterion max_depth max_features max_leaf_nodes min_impurity_decrease min_impurity_split min_samples_leaf "
        "min_samples_split min_weight_fraction_leaf monotonic_cst presort random_state splitter"
    ),
    "sklearn.tree.ExtraTreeClassifier": (
        "ccp_alpha class_weight criterion max_depth max_features max_leaf_nodes min_impurity_decrease min_impurity_split "
        "min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst random_state splitter"
    ),
    "sklearn.neighbors.KNeighborsClassifier": "algorithm leaf_size metric metric_params n_jobs n_neighbors p weights",
    "sklearn.neighbors.KNeighborsRegressor": "algorithm leaf_size metric metric_params n_jobs n_neighbors p weights",
    "sklearn.neighbors.NearestCentroid": "metric priors shrink_threshold",
    "sklearn.neighbors.LocalOutlierFactor": (
        "algorithm contamination leaf_size metric metric_params n_jobs n_neighbors novelty p"
    ),
    "sklearn.naive_bayes.GaussianNB": "priors var_smoothing",
    "sklearn.naive_bayes.MultinomialNB": "alpha class_prior fit_prior force_alpha",
    "sklearn.naive_bayes.BernoulliNB": "alpha binarize class_prior fit_prior force_alpha",
    "sklearn.naive_bayes.ComplementNB": "alpha class_prior fit_prior force_alpha norm",
    "sklearn.naive_bayes.CategoricalNB": "alpha class_prior fit_prior force_alpha min_categories",
    "sklearn.neural_network.MLPClassifier": (
        "activation alpha batch_size beta_1 beta_2 early_stopping epsilon hidden_layer_sizes learning_rate learning_rate_init "
        "max_fun max_iter momentum n_iter_no_change nesterovs_momentum power_t random_state shuffle solver tol "
        "validation_fraction verbose warm_start"
    ),
    "sklearn.neural_network.MLPRegressor": (
        "activation alpha batch_size beta_1 beta_2 early_stopping epsilon hidden_layer_sizes learning_rate learning_rate_init "
        "loss max_fun max_iter momentum n_iter_no_change nesterovs_momentum power_t random_state shuffle solver tol "
        "validation_fraction verbose warm_start"
    ),
    "sklearn.gaussian_process.GaussianProcessClassifier": (
        "copy_X_train kernel max_iter_predict multi_class n_jobs n_restarts_optimizer optimizer random_state warm_start"
    ),
    "sklearn.gaussian_process.GaussianProcessRegressor": (
        "alpha copy_X_train kernel n_restarts_optimizer n_targets normalize_y optimizer random_state"
    ),
    "sklearn.kernel_ridge.KernelRidge": "alpha coef0 degree gamma kernel kernel_params",
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": (
        "covariance_estimator n_components priors shrinkage solver store_covariance tol"
    ),
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis": (
        "covariance_estimator priors reg_param shrinkage solver store_covariance store_covariances tol"
    ),
    "sklearn.calibration.CalibratedClassifierCV": "base_estimator cv ensemble estimator method n_jobs",
    "sklearn.dummy.DummyClassifier": "constant random_state strategy",
    "sklearn.dummy.DummyRegressor": "constant quantile strategy",
    "sklearn.preprocessing.StandardScaler": "copy with_mean with_std",
    "sklearn.preprocessing.MinMaxScaler": "clip copy feature_range",
    "sklearn.preprocessing.MaxAbsScaler": "clip copy",
    "sklearn.preprocessing.RobustScaler": "copy quantile_range unit_variance with_centering with_scaling",
    "sklearn.preprocessing.Normalizer": "copy norm",
    "sklearn.preprocessing.Binarizer": "copy threshold",
    "sklearn.preprocessing.QuantileTransformer": (
        "copy ignore_implicit_zeros n_quantiles output_distribution random_state subsample"
    ),
    "sklearn.preprocessing.PowerTransformer": "copy method standardize",
    "sklearn.preprocessing.PolynomialFeatures": "degree include_bias interaction_only order",
    "sklearn.preprocessing.SplineTransformer": (
        "degree extrapolation handle_missing include_bias knots n_knots order sparse_output"
    ),
    "sklearn.preprocessing.KBinsDiscretizer": "dtype encode n_bins quantile_method random_state strategy subsample",
    "sklearn.preprocessing.OneHotEncoder": (
        "categorical_features categories drop dtype feature_name_combiner handle_unknown max_categories min_frequency n_values "
        "sparse sparse_output"
    ),
    "sklearn.preprocessing.OrdinalEncoder": (
        "categories dtype encoded_missing_value handle_unknown max_categories min_frequency unknown_value"
    ),
    "sklearn.preprocessing.TargetEncoder": "categories cv random_state shuffle smooth target_type",
    "sklearn.preprocessing.FunctionTransformer": (
        "accept_sparse check_inverse feature_names_out func inv_kw_args inverse_func kw_args validate"
    ),
    "sklearn.impute.SimpleImputer": "add_indicator axis copy fill_value keep_empty_features missing_values strategy verbose",
    "sklearn.impute.KNNImputer": "add_indicator copy keep_empty_features metric missing_values n_neighbors weights",
    "sklearn.decomposition.PCA": (
        "copy iterated_power n_components n_oversamples power_iteration_normalizer random_state svd_solver tol whiten"
    ),
    "sklearn.decomposition.IncrementalPCA": "batch_size copy n_components whiten",
    "sklearn.decomposition.KernelPCA": (
        "alpha coef0 copy_X degree eigen_solver fit_inverse_transform gamma iterated_power kernel kernel_params max_iter "
        "n_components n_jobs random_state remove_zero_eig tol"
    ),
    "sklearn.decomposition.TruncatedSVD": (
        "algorithm n_components n_iter n_oversamples power_iteration_normalizer random_state tol"
    ),
    "sklearn.decomposition.FastICA": (
        "algorithm fun fun_args max_iter n_components random_state tol w_init whiten whiten_solver"
    ),
    "sklearn.decomposition.NMF": (
        "alpha alpha_H alpha_W beta_loss init l1_ratio max_iter n_components random_state regularization shuffle solver tol "
        "verbose"
    ),
    "sklearn.decomposition.FactorAnalysis": (
        "copy iterated_power max_iter n_components noise_variance_init random_state rotation svd_method tol"
    ),
    "sklearn.decomposition.LatentDirichletAllocation": (
        "batch_size doc_topic_prior evaluate_every learning_decay learning_method learning_offset max_doc_update_iter max_iter "
        "mean_change_tol n_components n_jobs n_topics perp_tol random_state topic_word_prior total_samples verbose"
    ),
    "sklearn.feature_extraction.text.CountVectorizer": (
        "analyzer binary decode_error dtype encoding input lowercase max_df max_features min_df ngram_range preprocessor "
        "stop_words strip_accents token_pattern tokenizer vocabulary"
    ),
    "sklearn.feature_extraction.text.TfidfVectorizer": (
        "analyzer binary decode_error dtype encoding input lowercase max_df max_features min_df ngram_range norm preprocessor "
        "smooth_idf stop_words strip_accents sublinear_tf token_pattern tokenizer use_idf vocabulary"
    ),
    "sklearn.feature_extraction.text.TfidfTransformer": "norm smooth_idf sublinear_tf use_idf",
    "sklearn.feature_extraction.text.HashingVectorizer": (
        "alternate_sign analyzer binary decode_error dtype encoding input lowercase n_features ngram_range non_negative norm "
        "preprocessor stop_words strip_accents token_pattern tokenizer"
    ),
    "sklearn.feature_selection.SelectKBest": "k score_func",
    "sklearn.feature_selection.SelectPercentile": "percentile score_func",
    "sklearn.feature_selection.GenericUnivariateSelect": "mode param score_func",
    "sklearn.feature_selection.RFE": "estimator importance_getter n_features_to_select step verbose",
    "sklearn.feature_selection.RFECV": "cv estimator importance_getter min_features_to_select n_jobs scoring step verbose",
    "sklearn.feature_selection.SelectFromModel": "estimator importance_getter max_features norm_order prefit threshold",
    "sklearn.feature_selection.SequentialFeatureSelector": "cv direction estimator n_features_to_select n_jobs scoring tol",
    "sklearn.feature_selection.VarianceThreshold": "threshold",
    "sklearn.compose.ColumnTransformer": (
        "force_int_remainder_cols n_jobs remainder sparse_threshold transformer_weights transformers verbose "
        "verbose_feature_names_out"
    ),
    "sklearn.compose.TransformedTargetRegressor": "check_inverse func inverse_func regressor transformer",
    "sklearn.pipeline.Pipeline": "memory steps transform_input verbose",
    "sklearn.pipeline.FeatureUnion": "n_jobs transformer_list transformer_weights verbose verbose_feature_names_out",
    "sklearn.multiclass.OneVsRestClassifier": "estimator n_jobs verbose",
    "sklearn.multiclass.OneVsOneClassifier": "estimator n_jobs",
    "sklearn.multioutput.MultiOutputClassifier": "estimator n_jobs",
    "sklearn.multioutput.MultiOutputRegressor": "estimator n_jobs",
    "sklearn.multioutput.ClassifierChain": "base_estimator chain_method cv estimator order random_state verbose",
    "sklearn.cluster.KMeans": (
        "algorithm copy_x init max_iter n_clusters n_init n_jobs precompute_distances random_state tol verbose"
    ),
    "sklearn.cluster.MiniBatchKMeans": (
        "batch_size compute_labels init init_size max_iter max_no_improvement n_clusters n_init n_jobs random_state "
        "reassignment_ratio tol verbose"
    ),
    "sklearn.cross_decomposition.PLSRegression": "copy max_iter n_components scale tol",
    "sklearn.kernel_approximation.Nystroem": "coef0 degree gamma kernel kernel_params n_components n_jobs random_state",
    "sklearn.kernel_approximation.RBFSampler": "gamma n_components random_state",
}


@cache
def parameters_of(cls: str) -> frozenset[str] | None:
    """The parameters of an estimator's constructor; None of one that is not known."""
    written = _WRITTEN.get(cls)
    return frozenset(written.split()) if written is not None else None


KNOWN: frozenset[str] = frozenset(_WRITTEN)
"""The classes whose parameters are known."""
