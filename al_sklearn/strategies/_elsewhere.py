"""What strategies are called in other libraries, and what they are called here.

Two names may share letters and mean different things: what a name is answered with here
is what does the same, or the nearest to it, as somebody has compared them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

# Whoever writes these means exactly this one.
_SAME: Final = {
    # modAL
    "uncertaintysampling": "least_confidence",
    "marginsampling": "margin",
    "entropysampling": "entropy",
    "ratiosampling": "ratio",
    "uncertaintybatchsampling": "ranked_batch",
    "voteentropysampling": "vote_entropy",
    "consensusentropysampling": "consensus_entropy",
    "maxdisagreementsampling": "kl_disagreement",
    "mcdropoutbald": "bald",
    "mcdropoutmeanst": "mean_std",
    "mcdropoutmaxentropy": "max_entropy",
    "mcdropoutmaxvariationratios": "variation_ratio",
    # Its fork for images, where _pt is the same measure of tensors, mb_ a model's.
    "leastconfidencept": "least_confidence",
    "marginpt": "margin",
    "ratiopt": "ratio",
    "entropypt": "entropy",
    "leastconfidencemcpt": "least_confidence_mc",
    "marginmcpt": "margin_mc",
    "ratiomcpt": "ratio_mc",
    "entropymcpt": "entropy_mc",
    "mboutliersmean": "outliers_mean",
    "mboutliersmax": "outliers_max",
    "mboutliersmeanleastconfidence": "outliers_mean_least_confidence",
    "mboutliersmeanentropy": "outliers_mean_entropy",
    # TorchAL
    "uncertainty": "least_confidence",
    "uncertaintyuniformdiscretize": "uncertainty_bins",
    "uncertaintymix": "uncertainty_mix",
    "vaalminusdisc": "vaal_distance",
    "cog": "centre_of_gravity",
    # scikit-activeml
    "discriminativeal": "dal",
    "greedybald": "bald",
    "kgreedycenter": "coreset",
    "variationratios": "variation_ratio",
    "averagekldivergence": "kl_disagreement",
    # small-text
    "predictionentropy": "entropy",
    "breakingties": "margin",
    "greedycoreset": "coreset",
    "embeddingkmeans": "kmeans_sampling",
    "discriminativeactivelearning": "dal",
    "randomsampler": "random_sampling",
    # baal, libact, ALiPy
    "certainty": "least_confidence",
    "variance": "mean_std",
    "queryinstancerandom": "random_sampling",
    "queryinstancecoresetgreedy": "coreset",
}

_COMMITTEE: Final = (
    "by_committee(vote_entropy), which trains a committee for each query, or "
    "vote_entropy with a Committee or a DeepEnsemble as the model"
)
_EXPECTED_ERROR: Final = (
    "al_sklearn.modal.expected_error.expected_error_reduction, a strategy by its "
    "import path"
)
_REGRESSION: Final = "nothing: it chooses for regression"
# What comes nearest, where it is not one name.
_NEAREST: Final = {
    "qbc": _COMMITTEE,
    "querybycommittee": _COMMITTEE,
    "queryinstanceqbc": _COMMITTEE,
    "committee": _COMMITTEE,
    "ensemble": _COMMITTEE,
    "ensemblevarr": "by_committee(variation_ratio)",
    "ensembledbal": "by_committee(max_entropy)",
    "ensemblebald": "by_committee(bald)",
    "greedysamplingx": "coreset, of what the model sees: X itself where it is no net",
    "greedysamplingtarget": _REGRESSION,
    "regressiontreebasedal": _REGRESSION,
    "expectedmodelchangemaximization": _REGRESSION,
    "expectedmodeloutputchange": _REGRESSION,
    "expectedmodelvariancereduction": _REGRESSION,
    "kldivergencemaximization": _REGRESSION,
    "epistemicuncertaintysampling": "bald, the epistemic part of the uncertainty",
    "expectederrorreduction": _EXPECTED_ERROR,
    "montecarloeer": _EXPECTED_ERROR,
    "valueofinformationeer": _EXPECTED_ERROR,
    "expectederror": _EXPECTED_ERROR,
    "contrastiveal": "nothing; k_nearest looks at neighbours, too",
    "contrastiveactivelearning": "nothing; k_nearest looks at neighbours, too",
    "costembeddingal": "nothing: classes cost the same here",
    "fourds": "nothing; cluster_margin is as much of a mixture",
    "probabilistical": "nothing; density_weighted weighs by density, too",
    "quire": "nothing; density_weighted is informative and representative, too",
    "queryinstancequire": "nothing; density_weighted is informative and "
    "representative, too",
    "densityweightedmeta": "density_weighted",
    "queryinstanceuncertainty": "least_confidence, margin or entropy",
    "subsamplingwrapper": "subsample(strategy, n_candidates)",
    "subsamplingquerystrategy": "subsample(strategy, n_candidates)",
    "seals": "subsample(strategy, n_candidates)",
    "parallelutilityestimationwrapper": "nothing: strategies take one core or all",
    "labelcardinalityinconsistency": "a strategy of al_sklearn.modal.multilabel, by "
    "its import path",
    "maxlossreductionmaxconfidence": "al_sklearn.modal.multilabel.mean_max_loss, by "
    "its import path",
}
# A name as long and as like another is that one, misspelt.
_MISSPELT: Final = 0.85
_LEAST_LETTERS: Final = 5


def plain(name: str) -> str:
    """Return a name without what spellings differ in: capitals and separators."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def same_strategy(name: str, known: Iterable[str]) -> str | None:
    """Return our name of a strategy that has another one, or another spelling."""
    spellings = {plain(one): one for one in known}
    wanted = plain(name)
    found = spellings.get(wanted) or _SAME.get(wanted)
    return found if found is None or found in spellings.values() else None


def suggest_strategy(name: str, known: Iterable[str]) -> str:
    """Return a sentence with what a strategy's name means here, a space before it.

    Parameters
    ----------
    name : str
        Unknown here.
    known : iterable of str
        The names that there are.

    Returns
    -------
    str
        Empty where nothing is known of it. Letters alone suggest nothing, but for a
        name of five or more that differs in one of them, or two of many.

    Examples
    --------
    >>> suggest_strategy("SubSamplingWrapper", ["margin"])
    " Of 'SubSamplingWrapper' there is here: subsample(strategy, n_candidates)."
    >>> suggest_strategy("entropia", ["entropy_mc"])
    ''
    """
    names = list(known)
    nearest = _NEAREST.get(plain(name))
    if nearest is not None:
        return f" Of {name!r} there is here: {nearest}."
    same = same_strategy(name, names)
    if same is not None:
        return f" It is called {same!r} here."
    if len(name) < _LEAST_LETTERS:
        return ""
    close = difflib.get_close_matches(name, names, n=1, cutoff=_MISSPELT)
    return f" Did you mean {close[0]!r}?" if close else ""
