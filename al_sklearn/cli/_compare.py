"""``compare``: strategies on a data set, described by flags alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from al_sklearn.cli._console import (
    app,
    errors_in_one_line,
    option_from_text,
    typed_command,
)
from al_sklearn.cli._run import execute

if TYPE_CHECKING:
    from al_sklearn.experiments.configuration import Key

DEFAULT_STRATEGIES = "random,margin,entropy,bald,coreset,badge"
# Where messages say that a key stands.
FLAGS: Final[dict[Key, int | str]] = {
    ("data", "name"): "--dataset",
    ("data", "dir"): "--data-dir",
    ("data", "options"): "--option",
    ("data", "import"): "--import",
    ("data", "on_corrupt"): "--on-corrupt",
    ("data", "pool_size"): "--pool-size",
    ("data", "test_size"): "--test-size",
    ("estimator",): "--estimator",
    ("estimator", 0, "FrozenBackbone", "backbone"): "--frozen",
    ("estimator", 0, "FrozenBackbone", "weights"): "--weights",
    ("strategies",): "--strategies",
    ("comparison", "n_initial"): "--initial",
    ("comparison", "n_instances"): "--batch",
    ("comparison", "n_rounds"): "--rounds",
    ("comparison", "n_seeds"): "--seeds",
    ("comparison", "training"): "--training",
    ("comparison", "scoring"): "--scoring",
    ("comparison", "stopping"): "--stopping",
    ("comparison", "n_jobs"): "--jobs",
    ("comparison", "threads_per_job"): "--threads",
    ("comparison", "random_state"): "--random-state",
}
NETWORK_FLAGS: Final = {
    "module": "--model",
    "max_epochs": "--epochs",
    "lr": "--learning-rate",
    "batch_size": "--batch-size",
    "optimizer": "--optimizer",
    "optimizer__weight_decay": "--weight-decay",
    "optimizer__momentum": "--momentum",
    "schedule": "--schedule",
    "warmup_epochs": "--warmup-epochs",
    "augment": "--augment",
    "class_weight": "--class-weight",
    "patience": "--patience",
    "train_split": "--validation",
    "module__dropout": "--dropout",
    "module__weights": "--weights",
    "image_size": "--image-size",
    "device": "--device",
    "amp": "--amp",
}


@app.command()
def compare(
    context: typer.Context,
    dataset: Annotated[
        str, typer.Option(help="Name of a data set; al-sklearn datasets lists them.")
    ] = "digits",
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of its files; the file itself for csv, hdf5 …"),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", help="Option of the data set, as bands=rgb; can be given again."
        ),
    ] = None,
    on_corrupt: Annotated[
        str | None,
        typer.Option(
            help="Look at every image first: raise, or skip and list those that are "
            "corrupt."
        ),
    ] = None,
    plugin: Annotated[
        Path | None,
        typer.Option(
            "--import", help="Python file that registers a data set of your own."
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch missing files into --data-dir.")
    ] = False,
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
    seeds: Annotated[
        int, typer.Option(min=1, help="Repetitions, paired across strategies.")
    ] = 5,
    initial: Annotated[
        float,
        typer.Option(
            min=0,
            help="Labels to begin with: a number, or a share of the pool below 1.",
        ),
    ] = 20,
    batch: Annotated[
        float,
        typer.Option(
            min=0,
            help="Labels bought in a round: a number, or a share of the pool below 1.",
        ),
    ] = 20,
    labelling_rate: Annotated[
        str | None,
        typer.Option(
            help="Rule for the size of batches, as 'AdaptiveRate: {gain: 0.02}'."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of buying.")] = 8,
    stopping: Annotated[
        str | None,
        typer.Option(
            help="Ends rounds early, as 'Budget: 200' or StabilizingPredictions."
        ),
    ] = None,
    random_initial: Annotated[
        bool,
        typer.Option(
            "--random-initial",
            help="An initial set that does not follow the classes' shares.",
        ),
    ] = False,
    pool_size: Annotated[
        int | None, typer.Option(min=1, help="Use so many training images, drawn once.")
    ] = None,
    test_size: Annotated[
        int | None, typer.Option(min=1, help="Use so many test images, drawn once.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="Network: small_cnn, resnet20, timm:… or any of torchvision's."
        ),
    ] = "small_cnn",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 30,
    learning_rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images in a batch of training.")
    ] = 32,
    optimizer: Annotated[str, typer.Option(help="A class of torch.optim.")] = "Adam",
    weight_decay: Annotated[
        float | None, typer.Option(min=0, help="Weight decay of the optimizer.")
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(min=0, help="Momentum, of optimizers that have it.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Learning rate: cosine, one_cycle or plateau.")
    ] = None,
    warmup_epochs: Annotated[
        float | None, typer.Option(min=0, help="Epochs in which the rate rises.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="In training alone: flip, crop, flip_crop, rand_augment; several by "
            "commas."
        ),
    ] = None,
    class_weight: Annotated[
        str | None, typer.Option(help="balanced, or {cat: 5} as YAML.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop a training without gain for so many epochs."),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the labels that --patience and plateau look at.",
        ),
    ] = None,
    swa: Annotated[
        bool, typer.Option("--swa", help="Average the weights of the last epochs.")
    ] = False,
    dropout: Annotated[
        float | None, typer.Option(min=0, max=1, help="Dropout before the last layer.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Pretrained weights, as imagenet.")
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Train the last layer alone.")
    ] = False,
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help="Resize image files to this side, in pixels."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, cuda:1, mps; the best one by default."),
    ] = None,
    amp: Annotated[
        str | None, typer.Option(help="Mixed precision: bf16 or fp16.")
    ] = None,
    compile_network: Annotated[
        bool, typer.Option("--compile", help="Compile the network.")
    ] = False,
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
            "--frozen",
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
    flat: Annotated[
        bool,
        typer.Option(
            "--flat",
            help="Each image a row of numbers from 0 to 1, as scikit-learn's own want "
            "it.",
        ),
    ] = False,
    training: Annotated[
        str, typer.Option(help="from_scratch, fine_tune or only_new.")
    ] = "from_scratch",
    scoring: Annotated[
        str | None, typer.Option(help="A scikit-learn scorer, for one more column.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Anything else that StrategyComparison takes, as n_jobs=2; can be "
            "given again.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 for one a core.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of each worker; the cores shared by default."
        ),
    ] = None,
    random_state: Annotated[
        int, typer.Option(min=0, help="What all seeds grow from.")
    ] = 0,
    output: Annotated[
        Path, typer.Option(help="Folder of the run: results, table, picture, report.")
    ] = Path("runs/compare"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output.")
    ] = False,
    report: Annotated[
        bool, typer.Option(help="Write the picture and the HTML report.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Compare query strategies on a data set and write a report."""
    with errors_in_one_line():
        from al_sklearn.datasets import options_from_text
        from al_sklearn.experiments.configuration import ExperimentFile, run_plugin

        if plugin is not None:
            run_plugin(str(plugin))
        network: dict[str, Any] = {
            "module": model,
            "max_epochs": epochs,
            "lr": learning_rate,
            "batch_size": batch_size,
            "optimizer": None if optimizer == "Adam" else optimizer,
            "optimizer__weight_decay": weight_decay,
            "optimizer__momentum": momentum,
            "schedule": schedule,
            "warmup_epochs": warmup_epochs,
            "augment": augment.split(",") if augment and "," in augment else augment,
            "class_weight": None
            if class_weight is None
            else option_from_text(class_weight, "--class-weight"),
            "patience": patience,
            "train_split": None if validation is None else _held_out(validation),
            "swa": swa or None,
            "module__dropout": dropout,
            "module__weights": weights,
            "module__freeze": freeze or None,
            "image_size": image_size,
            "device": device,
            "amp": amp,
            "compile": compile_network or None,
        }
        name = "LossPredictionClassifier" if learning_loss else "ImageClassifier"
        classifier: Any = {name: _given(network)}
        key: Key = (name,)
        if ensemble is not None:
            classifier = {
                "DeepEnsemble": {"estimator": classifier, "n_members": ensemble}
            }
            key = ("DeepEnsemble", "estimator", *key)
        if tune is not None:
            classifier = {
                "TunedClassifier": {
                    "estimator": classifier,
                    "n_trials": tune,
                    "verbose": 0,
                }
            }
            key = ("TunedClassifier", "estimator", *key)
        if frozen is not None:
            backbone = _given(
                {
                    "backbone": frozen,
                    "weights": weights,
                    "image_size": image_size,
                    "device": device,
                }
            )
            classifier = [
                {"FrozenBackbone": backbone},
                "StandardScaler",
                {"LogisticRegression": {"max_iter": 1000}},
            ]
        if estimator is not None:
            classifier = option_from_text(estimator, "--estimator")
        comparison = {
            "n_initial": _count(initial),
            "n_instances": _count(batch),
            "n_rounds": rounds,
            "n_seeds": seeds,
            "initial": "random" if random_initial else None,
            "training": training,
            "scoring": scoring,
            "stopping": None
            if stopping is None
            else option_from_text(stopping, "--stopping"),
            "n_jobs": jobs,
            "threads_per_job": threads,
            "random_state": random_state,
        }
        if labelling_rate is not None:
            rate = option_from_text(labelling_rate, "--labelling-rate")
            comparison["n_instances"] = {rate: {}} if isinstance(rate, str) else rate
        set_by_flag = _settings(settings or [])
        comparison |= set_by_flag
        data = {
            "name": dataset,
            "dir": None if data_dir is None else str(data_dir),
            "options": options_from_text(dataset, option or []),
            "download": download or None,
            "on_corrupt": on_corrupt,
            "import": None if plugin is None else str(plugin),
            "flat": flat or None,
            "pool_size": pool_size,
            "test_size": test_size,
        }
        lines: dict[Key, int | str] = {
            **FLAGS,
            **{("comparison", option): "--set" for option in set_by_flag},
        }
        lines |= {
            ("estimator", *key, option): flag for option, flag in NETWORK_FLAGS.items()
        }
        experiment = ExperimentFile(
            {
                "title": f"Query strategies on {dataset}",
                "data": _given(data),
                "estimator": classifier,
                "strategies": _strategies(strategies, strategy or []),
                "comparison": _given(comparison),
            },
            "al-sklearn compare",
            lines,
        )
    command = typed_command(context)
    execute(
        experiment,
        output,
        quick=False,
        resume=resume,
        report=report,
        quiet=quiet,
        command=command,
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not said, so that defaults stay where they are written."""
    return {name: value for name, value in options.items() if value is not None}


def _strategies(names: str, more: list[str]) -> list[Any]:
    found: list[Any] = [name.strip() for name in names.split(",") if name.strip()]
    found += [option_from_text(text, "--strategy") for text in more]
    if not found:
        raise ValueError(
            "--strategies is empty: give names separated by commas; al-sklearn "
            "strategies lists them."
        )
    return found


def _settings(texts: list[str]) -> dict[str, Any]:
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set takes key=value, as n_jobs=2; got {text!r}.")
        settings[key.strip().removeprefix("comparison.")] = option_from_text(
            value, f"--set {key}"
        )
    return settings


def _count(number: float) -> int | float:
    return (
        number if 0 < number < 1 else int(number) if number == int(number) else number
    )


def _held_out(share: float) -> dict[str, Any]:
    if not 0 < share < 1:
        raise ValueError(
            f"--validation must be a share between 0 and 1, got {share:g}."
        )
    return {
        "skorch.dataset.ValidSplit": {
            "cv": share,
            "stratified": True,
            "random_state": 0,
        }
    }
