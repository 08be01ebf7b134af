"""``compare``: strategies on a data set, described by flags alone.

Most flags are made from the models of the experiment file; those below say in a word
what takes several keys there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from al_sklearn.cli._console import (
    app,
    errors_in_one_line,
    key_and_value,
    option_from_text,
    typed_command,
)
from al_sklearn.cli._flags import flags, places_of, values_of
from al_sklearn.cli._run import Quiet, Report, Resume, execute
from al_sklearn.cli._splits import Options
from al_sklearn.experiments.configuration import Comparison, Data, Net

if TYPE_CHECKING:
    from al_sklearn.experiments.configuration import Key

DEFAULT_STRATEGIES = "random,margin,entropy,bald,coreset,badge"
# Where messages say that a key stands that no flag is made from.
_PLACES: Final[dict[Key, int | str]] = {
    ("data", "options"): "--option",
    ("estimator",): "--estimator",
    ("estimator", 0, "FrozenBackbone", "backbone"): "--frozen",
    ("estimator", 0, "FrozenBackbone", "weights"): "--weights",
    ("strategies",): "--strategies",
}


@app.command()
@flags({"data__name": "digits"}, data=Data, comparison=Comparison, net=Net)
def compare(
    context: typer.Context,
    option: Options = None,
    strategies: Annotated[
        str, typer.Option(help="Names, separated by commas.")
    ] = DEFAULT_STRATEGIES,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            help="One more, with options, as 'coreset: {metric: cosine}'; can be given "
            "again.",
        ),
    ] = None,
    labelling_rate: Annotated[
        str | None,
        typer.Option(
            help="Rule for the size of batches, as 'AdaptiveRate: {gain: 0.02}'."
        ),
    ] = None,
    random_initial: Annotated[
        bool,
        typer.Option(
            "--random-initial",
            help="An initial set that does not follow the classes' shares.",
        ),
    ] = False,
    patience_share: Annotated[
        float | None,
        typer.Option(
            "--patience-share",
            "--validation",
            help="Share of the labels bought that --patience and plateau look at.",
        ),
    ] = None,
    ensemble: Annotated[
        int | None, typer.Option(min=2, help="Train so many networks; they vote.")
    ] = None,
    learning_loss: Annotated[
        bool,
        typer.Option(
            "--learning-loss",
            help="Train a head that predicts the loss, for learning_loss.",
        ),
    ] = False,
    tune: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Search so many settings before each training, on the labels bought.",
        ),
    ] = None,
    frozen: Annotated[
        str | None,
        typer.Option(
            help="Logistic regression on this network's features, as "
            "efficientnet_lite0.",
        ),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            help="Any classifier instead of a network, as 'LogisticRegression: {C: "
            "0.1}'."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Anything else that StrategyComparison takes, as "
            "later_params='{max_epochs: 5}'; can be given again.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder of the run: results, table, picture, report.")
    ] = Path("runs/compare"),
    resume: Resume = False,
    report: Report = True,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Compare query strategies on a data set and write a report."""
    with errors_in_one_line():
        from al_sklearn.datasets import options_from_text
        from al_sklearn.experiments.configuration import ExperimentFile, run_plugin

        data: Any = {"name": "digits"} | values_of(Data, "data", given)
        if "import" in data:
            # Its data set's options are read by its signature, so it comes first.
            run_plugin(data["import"])
        data["options"] = options_from_text(data["name"], option or [])
        net = values_of(Net, "net", given)
        if patience_share is not None:
            net["train_split"] = _held_out(patience_share)
        name = "LossPredictionClassifier" if learning_loss else "ImageClassifier"
        classifier: Any = {name: net}
        key: Key = (name,)
        places = {**_PLACES, ("estimator", name, "train_split"): "--patience-share"}
        # What wraps the network, from the inside out.
        for wrapper, flag, options in (
            ("DeepEnsemble", "--ensemble", {"n_members": ensemble}),
            ("TunedClassifier", "--tune", {"n_trials": tune, "verbose": 0}),
        ):
            if None not in options.values():
                classifier = {wrapper: {"estimator": classifier, **options}}
                key = (wrapper, "estimator", *key)
                places[("estimator", wrapper)] = flag
        if frozen is not None:
            # Of the network's flags these mean the frozen one too.
            shared = {"module__weights": "weights", "image_size": "image_size"}
            shared["device"] = "device"
            backbone = {shared[one]: net[one] for one in shared if one in net}
            classifier = [
                {"FrozenBackbone": {"backbone": frozen, **backbone}},
                "StandardScaler",
                {"LogisticRegression": {"max_iter": 1000}},
            ]
        # It goes before everything that is said of networks.
        if estimator is not None:
            classifier = option_from_text(estimator, "--estimator")
        comparison = values_of(Comparison, "comparison", given)
        if random_initial:
            comparison["initial"] = "random"
        places |= places_of(Data, "data") | places_of(Comparison, "comparison")
        places |= places_of(Net, "estimator", *key)
        if labelling_rate is not None:
            comparison["n_instances"] = option_from_text(
                labelling_rate, "--labelling-rate"
            )
            places[("comparison", "n_instances")] = "--labelling-rate"
        for text in settings or []:
            word, value = key_and_value(text, "n_jobs=2")
            word = word.removeprefix("comparison.")
            comparison[word] = value
            places[("comparison", word)] = "--set"
        named = [name.strip() for name in strategies.split(",") if name.strip()]
        more = [option_from_text(text, "--strategy") for text in strategy or []]
        if not (named or more):
            raise ValueError(
                "--strategies is empty: give names separated by commas; al-sklearn "
                "strategies lists them."
            )
        # They come after the names, which have no options.
        places |= {
            ("strategies", i): "--strategy"
            for i in range(len(named), len(named) + len(more))
        }
        experiment = ExperimentFile(
            {
                "title": f"Query strategies on {data['name']}",
                "data": data,
                "estimator": classifier,
                "strategies": [*named, *more],
                "comparison": comparison,
            },
            "al-sklearn compare",
            places,
        )
    execute(
        experiment,
        output,
        quick=False,
        resume=resume,
        report=report,
        quiet=quiet,
        command=typed_command(context),
    )


def _held_out(share: float) -> dict[str, Any]:
    if not 0 < share < 1:
        raise ValueError(
            f"--patience-share must be a share between 0 and 1, got {share:g}."
        )
    # Fixed: which labels are held out must not differ from strategy to strategy.
    split = {"cv": share, "stratified": True, "random_state": 0}
    return {"skorch.dataset.ValidSplit": split}
