"""What docs/verification.md says that no script can find out."""

from __future__ import annotations

WHOLE_PAGE = """# What everything is checked against

Written by `PYTHONPATH=. python benchmarks/verify.py --out docs/verification.md` (`make verify`) on {today} with Python {python},
numpy {numpy}, torch {torch}, one thread; the section "Intervals and tests" by the scripts that it names.

Four kinds of witness:

- **The definition**, written slowly in `tests/strategies/references_*.py`, in float64, one number at a time. Every run of the tests
  holds ours against it, on more input than is shown here; what a script can measure stands below.
- **Authors' own code.** It is no package, and none of it is copied: it was run once, at a commit, on an input made from a seed, and what
  it answered is kept in `tests/strategies/authors_picks.json`. `tests/strategies/test_authors.py` holds ours against it at each run.
- **Packages**, installed beside ours in an environment of their own (`benchmarks/peers.txt`, `peers-no-deps.txt`, `verify-peers.txt`).
- **Simulation**, for whatever draws at random and for intervals and p-values.

"Equal" is to the last bit. Where picks are compared, nothing ties unless it says so. Where we give another answer on purpose,
[the last table but one](#where-we-differ-on-purpose) says why.
"""

# Each strategy of the catalogue: what it is made of, and the test that holds it to that
# (under tests/strategies).
STRATEGIES: dict[str, tuple[str, str]] = {
    # uncertainty
    "bucketed_margin": (
        "margin, then shares drawn inside percentiles of it",
        "test_uncertainty.py::test_bucketed_draws_its_shares_from_the_buckets",
    ),
    "entropy": (
        "measure `entropy`, `top_k`",
        "test_strategies.py::test_strategies_are_their_measure_and_the_top_of_it",
    ),
    "entropy_mc": (
        "the same of the mean of posterior samples",
        "test_more_references.py::test_uncertainty_of_the_mean_of_posterior_samples",
    ),
    "input_gradient": (
        "sum of the absolute gradient of the summed loss, by torch; `top_k`",
        "test_uncertainty.py::test_gradient_sizes_are_sums",
    ),
    "least_confidence": (
        "measure `least_confidence`, `top_k`",
        "test_strategies.py::test_strategies_are_their_measure_and_the_top_of_it",
    ),
    "least_confidence_mc": (
        "the same of the mean of posterior samples",
        "test_more_references.py::test_uncertainty_of_the_mean_of_posterior_samples",
    ),
    "margin": (
        "measure `margin`, `top_k`",
        "test_strategies.py::test_strategies_are_their_measure_and_the_top_of_it",
    ),
    "margin_mc": (
        "the same of the mean of posterior samples",
        "test_more_references.py::test_uncertainty_of_the_mean_of_posterior_samples",
    ),
    "max_true_loss": (
        "−ln p of the true class; `top_k`",
        "test_uncertainty.py::test_true_loss",
    ),
    "random_sampling": (
        "uniform draws, counted over 2,000 seeds",
        "test_strategies.py::test_random_sampling_is_uniform_and_never_the_whole_pool",
    ),
    "ratio": (
        "measure `ratio`, `top_k`",
        "test_strategies.py::test_strategies_are_their_measure_and_the_top_of_it",
    ),
    "ratio_mc": (
        "the same of the mean of posterior samples",
        "test_more_references.py::test_uncertainty_of_the_mean_of_posterior_samples",
    ),
    "uncertainty_bins": (
        "measure `least_confidence`, the same number from bins of equal count",
        "test_uncertainty.py::test_binned_takes_the_same_number_from_every_bin",
    ),
    "uncertainty_mix": (
        "measure `least_confidence`, both ends",
        "test_uncertainty.py::test_both_ends_are_the_highest_and_the_lowest",
    ),
    # bayesian
    "bald": (
        "measure `bald`, `top_k`",
        "test_bayesian.py::test_strategies_are_the_top_of_their_measure",
    ),
    "batch_bald": (
        "selector `batch_bald`",
        "test_bayesian.py::test_batch_bald_agrees_with_enumeration",
    ),
    "consensus_entropy": (
        "measure `consensus_entropy`, `top_k`",
        "test_bayesian.py::test_strategies_are_the_top_of_their_measure",
    ),
    "epig": (
        "measure `epig`, `top_k`",
        "test_bayesian.py::test_batch_and_power_bald_and_epig_are_their_selectors",
    ),
    "kl_disagreement": (
        "measure `kl_disagreement`, `top_k`",
        "test_bayesian.py::test_strategies_are_the_top_of_their_measure",
    ),
    "max_entropy": (
        "measure `max_entropy`, `top_k`",
        "test_strategies.py::test_strategies_are_their_measure_and_the_top_of_it",
    ),
    "mean_std": (
        "measure `mean_std`, `top_k`",
        "test_bayesian.py::test_strategies_are_the_top_of_their_measure",
    ),
    "power_bald": (
        "measure `bald`, selector `stochastic_top_k`",
        "test_bayesian.py::test_batch_and_power_bald_and_epig_are_their_selectors",
    ),
    "variation_ratio": (
        "measure `variation_ratio`, `top_k`",
        "test_bayesian.py::test_strategies_are_the_top_of_their_measure",
    ),
    "vote_entropy": (
        "measure `vote_entropy`, `top_k`",
        "test_bayesian.py::test_strategies_are_the_top_of_their_measure",
    ),
    # geometric
    "centre_of_gravity": (
        "measure `distance_to_mean`, `top_k`",
        "test_geometric.py::test_k_nearest_probcover_and_centre_of_gravity_strategies",
    ),
    "coreset": (
        "selector `k_center`",
        "test_strategies.py::test_coreset_and_badge_are_their_selectors",
    ),
    "k_nearest": (
        "selector `k_nearest`",
        "test_geometric.py::test_k_nearest_is_its_definition",
    ),
    "kmeans_sampling": (
        "k-means (inertia as scikit-learn's), nearest point of each cluster",
        "test_geometric.py::test_kmeans_sampling_is_the_nearest_point_of_each_cluster",
    ),
    "lcmd": ("selector `lcmd`", "test_geometric.py::test_lcmd_is_its_definition"),
    "max_herding": (
        "selector `max_herding`",
        "test_geometric.py::test_max_herding_is_its_definition",
    ),
    "probcover": (
        "selector `probcover`",
        "test_geometric.py::test_probcover_is_its_definition",
    ),
    "typiclust": (
        "selector `typiclust`",
        "test_geometric.py::test_typiclust_is_its_definition",
    ),
    "u_herding": (
        "selector `max_herding`, weighted by `margin` at a temperature",
        "test_geometric.py::test_u_herding_is_max_herding_weighted_and_narrowed",
    ),
    # outliers
    "cluster": (
        "HDBSCAN's clusters, equal quotas",
        "test_outliers.py::test_quotas_are_equal_exact_and_unique",
    ),
    "cluster_outlier_combined": (
        "the same, a fifth of each quota from the top decile of `glosh`",
        "test_outliers.py::test_a_fifth_of_each_quota_is_from_the_top_decile",
    ),
    "outlier": (
        "measure `glosh`, `top_k`",
        "test_outliers.py::test_the_cluster_size_is_halved_until_a_cluster_appears",
    ),
    "outliers_max": (
        "measure `outliers_max`, `top_k`",
        "test_outliers.py::test_ranks_agree_with_their_definition",
    ),
    "outliers_mean": (
        "measure `outliers_mean`, `top_k`",
        "test_outliers.py::test_ranks_agree_with_their_definition",
    ),
    "outliers_mean_entropy": (
        "the same among the most uncertain",
        "test_outliers.py::test_outliers_among_the_uncertain_are_positions_in_the_pool",
    ),
    "outliers_mean_least_confidence": (
        "the same among the least confident",
        "test_outliers.py::test_outliers_among_the_uncertain_are_positions_in_the_pool",
    ),
    # hybrid
    "alfa_mix": (
        "`class_means`, `flip_distance`, `flipped`; k-means among the candidates",
        "test_hybrid.py::test_alfa_mix",
    ),
    "badge": (
        "selector `gradient_kmeans_plusplus`",
        "test_strategies.py::test_coreset_and_badge_are_their_selectors",
    ),
    "bait": (
        "selector `fisher_trace`",
        "test_hybrid.py::test_bait_strategy_is_its_selector",
    ),
    "clue": (
        "measure `entropy`, selector `weighted_kmeans`",
        "test_hybrid.py::test_clue_is_its_selector",
    ),
    "cluster_margin": (
        "measure `margin`, `average_linkage`, round robin",
        "test_more_references.py::test_average_linkage_is_its_definition",
    ),
    "density_weighted": (
        "any measure × `information_density`",
        "test_hybrid.py::test_density_weighted",
    ),
    "drop_query": (
        "`disagreement`, `disagreeing`; k-means among the candidates",
        "test_hybrid.py::test_drop_query_takes_those_on_which_most_passes_disagree",
    ),
    "falcun": (
        "selector `falcun`",
        "test_hybrid.py::test_falcun_draws_from_its_distribution",
    ),
    "ranked_batch": (
        "measure `least_confidence`, selector `ranked_batch`",
        "test_hybrid.py::test_ranked_batch_is_modals",
    ),
    # learned: what they learn is tested, and that they do; not held against authors'
    # trained networks, whose seeds nobody can repeat
    "active_transfer_learning": (
        "a head trained on held-out predictions right or wrong",
        "test_learned.py::test_the_head_learns_what_will_be_wrong",
    ),
    "core_gcn": (
        "graph matrix and loss by definition; `k_center` on the hidden features",
        "test_learned.py::test_the_graph_is_its_matrix",
    ),
    "dal": (
        "class-weighted loss by definition; a network that tells labelled from not",
        "test_learned.py::test_class_weighted_loss_is_its_definition",
    ),
    "learning_loss": (
        "the ranking loss by definition; the network that was trained selects",
        "test_learned.py::test_the_network_that_was_trained_is_the_one_that_selects",
    ),
    "vaal": (
        "negative ELBO by definition; two networks, two optimisers",
        "test_learned.py::test_elbo_is_its_definition",
    ),
    "vaal_distance": (
        "`k_center` in the latent space",
        "test_learned.py::test_vaal_distance_is_k_center_in_the_latent_space",
    ),
    # adaptive
    "auto": (
        "`max_herding` while there are few labels, `u_herding` or `refine` then",
        "test_adaptive.py::test_auto_covers_first_and_is_uncertain_later",
    ),
    "oracle_batch": (
        "the best of its candidate batches, by the true test score",
        "test_adaptive.py::test_the_oracle_chooses_the_best_of_its_candidates",
    ),
    "refine": (
        "unions of strategies' batches, then `max_herding`",
        "test_adaptive.py::test_refine_filters_to_the_union_and_covers_it",
    ),
    "typicality_then_margin": (
        "`typiclust`, then `margin`",
        "test_adaptive.py::test_tcm_is_typiclust_and_then_margin",
    ),
}

# What, who differs, how, why.
DIFFERENCES: list[tuple[str, str, str, str]] = [
    (
        "`falcun`",
        "scikit-activeml",
        "scales distances that it has scaled before, and does not scale those of the first draw",
        "the authors scale the true distances of what is left, anew for each draw",
    ),
    (
        "`falcun`",
        "authors' code",
        "once every distance is 0 they draw uniformly; we go by position, and at random with `random_tie_break=True`",
        "one rule for ties everywhere",
    ),
    (
        "`alfa_mix`, `drop_query`",
        "authors' code",
        "fill a batch of too few candidates at random (ALFA-Mix with repeats); we take those nearest to being candidates",
        "a batch has exactly as many as are asked for, each once",
    ),
    (
        "`alfa_mix`",
        "authors' code",
        "adds 1e-8 to z* − z before it divides; we never divide, and solve for the least ε instead of trying five",
        "the candidates are the same, and a feature in which both are equal stays what it is",
    ),
    (
        "`drop_query`",
        "scikit-activeml",
        "does not relax the threshold, nor scale up the features that are left by 1/(1 − p)",
        "the authors do both",
    ),
    (
        "`bait`",
        "bmdal_reg",
        'does not scale; the same with `scaling="none"`',
        "both papers' code does",
    ),
    (
        "`typiclust`",
        "authors' code",
        "its index returns squared distances, and typicality is one over their mean; ours are distances",
        "the paper's definition",
    ),
    (
        "`probcover`",
        "authors' code",
        "leaves out the edges of the last n mod 500 rows, and repeats a row once all is covered",
        "every row has its ball, and is chosen once",
    ),
    (
        "`u_herding`",
        "dal-toolbox",
        "weighs the candidate's whole gain by its own uncertainty",
        "the authors' code weighs each covered point by that point's, as we do",
    ),
    (
        "`u_herding`",
        "authors' code",
        "takes the temperature of least calibration error on a grid; ours is of the largest likelihood, cross-fitted",
        "no label is held out, and few labels give no calibration error worth the name",
    ),
    (
        "`lcmd`",
        "bmdal_reg",
        "begins, where nothing is labelled, with the row of largest norm; we with the one nearest the mean",
        "features have no natural origin",
    ),
    (
        "`mean_std`",
        "baal",
        "its `Variance` is the mean of variances; ours of standard deviations",
        "Kampffmeyer et al.",
    ),
    (
        "`kl_disagreement`",
        "modAL",
        "takes the member of largest divergence; we the mean",
        "McCallum & Nigam; `al_sklearn.modal` has modAL's",
    ),
    (
        "`TemperatureScaling`",
        "scikit-learn",
        "adds 1e-12 to a probability before its logarithm and looks for T between e⁻¹⁰ and e¹⁰; ours counts 0 as the least "
        "number of the precision and looks between 0.05 and 20",
        "a handful of labels, all predicted right, must not drive T to 0",
    ),
    (
        "`LaplaceClassifier`",
        "laplace-torch",
        "its probit takes each logit's own variance, ours that of the difference of two logits",
        "what moves all logits together changes no probability",
    ),
    (
        "learners",
        "modAL",
        "many; [the migration page](migration.md) has them with a test each",
        "",
    ),
]
