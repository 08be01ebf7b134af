"""What an experiment file may say: each key's type, default, help and flag, said once.

Checks of files, the flags of ``al-sklearn compare`` and the tables of the documentation
are made from these models. They import nothing heavy before a value asks for it, so
that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Union, get_args
from typing import get_origin as origin_of

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from al_sklearn.experiments.configuration._problems import (
    Key,
    Problem,
    did_you_mean,
    shown,
    unknown_key,
)


class Said(NamedTuple):
    """What a type allows, in words for people."""

    words: str


class Names:
    """A type of words that have names: looked up when there is a value to compare.

    Parameters
    ----------
    names : callable
        Gives the names.
    called : str
        What they are names of, where they are too many for one sentence.
    more : callable
        Whether a word is allowed that is none of the names.
    """

    def __init__(
        self,
        names: Callable[[], Collection[str]],
        called: str = "",
        more: Callable[[str], bool] = lambda word: False,
    ):
        self.names = names
        self.called = called
        self._more = more

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic look the word up after it has seen that it is one."""
        return no_info_after_validator_function(self._find, handler(source))

    def _find(self, word: str) -> str:
        if word not in self.names() and not self._more(word):
            raise ValueError("no such name")
        return word

    @property
    def words(self) -> str:
        """What is allowed."""
        return self.called or ", ".join(self.names())


# What follows imports torch and the like: only where there is a value to compare.


def _training() -> Collection[str]:
    from al_sklearn.loop import TRAINING

    return TRAINING


def _networks() -> Collection[str]:
    from al_sklearn.estimators.networks import network_names

    return network_names()


def _is_device(word: str) -> bool:
    import torch

    try:
        torch.device(word)
    except RuntimeError:
        return False
    return True


def _python_file(path: str) -> str:
    if not (path.endswith(".py") and Path(path).is_file()):
        raise ValueError("no Python file")
    return path


Count = Annotated[int, Ge(1), Said("a whole number from 1")]
# 1 is one image, 1.0 the whole pool: the point tells.
Size = Count | Annotated[float, Gt(0), Le(1), Said("a share, with a point, up to 1.0")]
# What is held out leaves something.
Part = Count | Annotated[float, Gt(0), Lt(1), Said("a share between 0 and 1")]
NotNegative = Annotated[float, Ge(0), Said("a number from 0")]
Text = Annotated[str, MinLen(1), Said("text")]
Switch = Annotated[bool, Said("true or false")]
Parameters = Annotated[Mapping[str, Any], Said("a mapping of parameters")]
AllOrCount = Annotated[Count | None, Said("a whole number from 1, or null for all")]
PythonFile = Annotated[
    str, AfterValidator(_python_file), Said("a Python file that is there")
]
OnCorrupt = Annotated[str, Names(lambda: ("raise", "skip"))]
# Of an error, or of a change: gone on with and kept, or raised.
RecordOrRaise = Annotated[str, Names(lambda: ("record", "raise"))]
TrainingMode = Annotated[str, Names(_training)]
# An object's path is imported, and what it is then seen, where objects are made.
Imported = Annotated[Mapping[str, Any], Said("an import path")]
Network = Annotated[
    str,
    Names(
        lambda: [*_networks(), "timm:…"],
        "a network",
        # Another library's name or an import path: who builds the network knows them.
        lambda name: ":" in name or "." in name,
    ),
]
Schedule = Annotated[str, Names(lambda: ("cosine", "one_cycle", "plateau"))]
Amp = Annotated[str, Names(lambda: ("bf16", "fp16"))]
_AUGMENTATIONS = ("crop", "flip", "flip_crop", "rand_augment")
Augmentation = Annotated[str, Names(lambda: _AUGMENTATIONS)] | Imported
# What people write most; every device that torch knows is taken.
_DEVICES = ("auto", "cpu", "cuda", "cuda:1", "mps")
Device = Annotated[str, Names(lambda: _DEVICES, "", _is_device)]
# Each part is one of these; what is imported is a function of one's own.
Augmentations = Augmentation | list[Augmentation]
ImageSize = Annotated[
    Count | list[Count] | None,
    Said("a side in pixels, [height, width], or null"),
]
BatchSize = Annotated[Count | Literal[-1], Said("a whole number from 1, or -1 for all")]
ClassWeight = Annotated[
    Annotated[str, Names(lambda: ("balanced",))] | Mapping[Any, Any] | list[Any] | None,
    Said("balanced, a weight for each class (cat: 5), or null"),
]


def _key(default: Any, text: str, flag: str | None = None, **more: Any) -> Any:
    """Describe a key: its default, what it is for, and the flag that says it too."""
    # What pydantic has no field for may stand here.
    return Field(default, description=text, json_schema_extra={"flag": flag}, **more)


class Section(BaseModel):
    """What all sections share: a value is taken as it is written, or refused."""

    # A misspelt key must not pass in silence, true is no number and "3" no count. Keys
    # are skorch's and scikit-learn's words, whatever pydantic keeps for itself.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class Data(Section):
    """The data set, and how much of it."""

    name: Annotated[Text, Said("text, a data set's name")] = _key(
        ..., "Name of a data set; al-sklearn datasets lists them.", "--dataset"
    )
    dir: Text | None = _key(
        None, "Folder of its files; the file itself for csv, hdf5 …", "--data-dir"
    )
    options: Annotated[
        Mapping[str, Any], Said("a mapping of the data set's options")
    ] = _key({}, "Options of the data set, as bands: rgb.")
    download: Switch = _key(False, "Fetch missing files into --data-dir.", "--download")
    on_corrupt: OnCorrupt | None = _key(
        None,
        "Look at every image first: raise, or skip and list those that are corrupt.",
        "--on-corrupt",
    )
    # In a file it is called import, which is no name in Python.
    plugin: PythonFile | None = _key(
        None,
        "Python file that registers a data set of your own.",
        "--import",
        alias="import",
    )
    flat: Annotated[
        bool, Said("true (each image a row of numbers from 0 to 1) or false")
    ] = _key(
        False,
        "Each image a row of numbers from 0 to 1, as scikit-learn's own want it.",
        "--flat",
    )
    pool_size: AllOrCount = _key(
        None, "Use so many training images, drawn once.", "--pool-size"
    )
    test_size: AllOrCount = _key(
        None, "Use so many test images, drawn once.", "--test-size"
    )


class Comparison(Section):
    """The protocol: parameters of ``StrategyComparison``.

    What holds objects is ``Any`` here: they are looked at where they are made.
    """

    n_initial: Size = _key(
        20,
        "Labels to begin with: a number, or a share of the pool (1.0 is all of it).",
        "--initial",
    )
    n_instances: Size | Annotated[str | Mapping[str, Any], Said("a labelling rate")] = (
        _key(
            20,
            "Labels bought in a round: a number, or a share of the pool (1.0 is all).",
            "--batch",
        )
    )
    n_rounds: Annotated[
        Annotated[int, Ge(0)] | None,
        Said(
            "a whole number from 0, or null (until the budget is spent, or stopping "
            "says so)"
        ),
    ] = _key(10, "Rounds of buying.", "--rounds")
    n_seeds: Count = _key(5, "Repetitions, paired across strategies.", "--seeds")
    looks: Annotated[
        list[Annotated[int, Ge(2)]] | None,
        Said("a list of whole numbers from 2 that increase, or null"),
    ] = _key(
        None,
        "Seeds at which results are looked at, as 5,10,20: ends where all is decided.",
        "--looks",
    )
    n_jobs: Annotated[
        Count | Annotated[int, Le(-1)] | None,
        Said("a whole number from 1, -1 for one a core, or null"),
    ] = _key(None, "Worker processes; -1 for one a core.", "--jobs")
    threads_per_job: Count | None = _key(
        None, "Threads of each worker; the cores shared by default.", "--threads"
    )
    initial: Any = _key(
        "stratified",
        "How the first images are drawn: stratified, random, per_class; or a strategy "
        "that needs no labels.",
        "--initial-set",
    )
    min_per_class: Count | None = _key(
        None, "So many of each class at least to begin with.", "--min-per-class"
    )
    test_size: Part = _key(
        0.25, "Held out of the pool anew for each seed, where there is no test set."
    )
    training: TrainingMode = _key(
        "from_scratch",
        "How a round's training follows the one before: from_scratch, fine_tune, "
        "incremental or only_new.",
        "--training",
    )
    scoring: str | list[Any] | Mapping[str, Any] | None = _key(
        None,
        "A scorer or metric, or a list of them: each one more column.",
        "--scoring",
    )
    stopping: Any = _key(
        None,
        "Ends rounds early, as 'Budget: 200' or StabilizingPredictions.",
        "--stopping",
    )
    callbacks: Any = _key(None, "Told of every round: trackers, or your own.")
    splits: Annotated[
        Text | list[Text] | None,
        Said("a run's folder or file, index sets, or a list of them"),
    ] = _key(
        None,
        "A run, or index sets in files or folders, whose test and initial sets are "
        "taken.",
        "--splits",
    )
    budget: Size | None = _key(
        None,
        "Labels in all, at most: a number, or a share of the pool (1.0 is all).",
        "--budget",
    )
    validation_size: Part | None = _key(
        None,
        "Images labelled for validation, which count as bought: a number, or a share "
        "of the pool below 1.",
        "--validation-size",
    )
    first_params: Parameters | None = _key(
        None, "Parameters of the estimator for the first training."
    )
    later_params: Parameters | None = _key(
        None, "Parameters of the estimator for the trainings after it."
    )
    test_each_epoch: Switch = _key(
        False,
        "Measure networks on the test set after each epoch, to be looked at.",
        "--test-each-epoch",
    )
    pool: Any = _key(
        None, "Makes the pool hard: wrong labels, rare classes, near-duplicates …"
    )
    on_error: RecordOrRaise = _key(
        "record",
        "What an error of one strategy does: record goes on with the others, raise "
        "ends the run.",
        "--on-error",
    )
    on_change: RecordOrRaise = _key(
        "raise",
        "What changed data or code of one's own do on resume: raise refuses, record "
        "goes on and says so in the report.",
        "--on-change",
    )
    ceiling: Switch = _key(
        False, "Train once on all labels too: a line in the pictures.", "--ceiling"
    )
    checkpoints: Switch = _key(
        False, "Keep each round's model beside its record.", "--checkpoints"
    )
    # numpy's seeds end at 2**32.
    random_state: Annotated[
        Annotated[int, Ge(0), Lt(2**32)] | None,
        Said("a whole number from 0 to 4294967295, or null"),
    ] = _key(0, "What all seeds grow from.", "--random-state")


class Net(Section):
    """How a network is trained: those parameters of skorch's nets that are plain.

    Everything else that a net takes is looked for in its signature.
    """

    # skorch's prefixes reach parts without end: module__…, iterator_train__….
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    module: Network | Imported = _key(
        "small_cnn",
        "Network: small_cnn, resnet20, timm:… or any of torchvision's.",
        "--model",
    )
    max_epochs: Count = _key(30, "Epochs of each training.", "--epochs")
    lr: Annotated[float, Gt(0), Said("a number above 0")] = _key(
        1e-3, "Learning rate.", "--learning-rate"
    )
    batch_size: BatchSize = _key(32, "Images in a batch of training.", "--batch-size")
    optimizer: str | Imported = _key("Adam", "A class of torch.optim.", "--optimizer")
    # None where the part has a default of its own, or no such parameter.
    optimizer__weight_decay: NotNegative = _key(
        None, "Weight decay of the optimizer.", "--weight-decay"
    )
    optimizer__momentum: NotNegative = _key(
        None, "Momentum, of optimizers that have it.", "--momentum"
    )
    schedule: Schedule | None = _key(
        None, "Learning rate: cosine, one_cycle or plateau.", "--schedule"
    )
    warmup_epochs: NotNegative = _key(
        0, "Epochs in which the rate rises.", "--warmup-epochs"
    )
    augment: Augmentations | None = _key(
        None,
        "In training alone: flip, crop, flip_crop, rand_augment; several by commas.",
        "--augment",
    )
    class_weight: ClassWeight = _key(
        None, "balanced, or {cat: 5} as YAML.", "--class-weight"
    )
    patience: Count | None = _key(
        None, "Stop a training without gain for so many epochs.", "--patience"
    )
    swa: Switch = _key(False, "Average the weights of the last epochs.", "--swa")
    module__dropout: Annotated[float, Ge(0), Le(1), Said("a number from 0 to 1")] = (
        _key(None, "Dropout before the last layer.", "--dropout")
    )
    module__weights: Any = _key(None, "Pretrained weights, as imagenet.", "--weights")
    module__freeze: Switch = _key(False, "Train the last layer alone.", "--freeze")
    image_size: ImageSize = _key(
        None, "Resize image files to this side, in pixels.", "--image-size"
    )
    device: Device | None = _key(
        "auto", "cpu, cuda, cuda:1, mps; the best one by default.", "--device"
    )
    amp: Amp | None = _key(None, "Mixed precision: bf16 or fp16.", "--amp")
    compile: Switch = _key(False, "Compile the network.", "--compile")
    warm_start: Switch = _key(False, "Go on from the weights of the fit before.")


class Experiment(Section):
    """The whole file."""

    title: Text = _key("", "Heading of the reports.")
    output: Text = _key("", "Folder of the results; runs/<the file's name> by default.")
    plugins: Annotated[
        list[str], Said("a list of Python files, or of modules to import")
    ] = _key([], "Python that is run first, and registers things of your own.")
    data: Annotated[Mapping[str, Any], Said("a mapping with name, dir, options …")] = (
        _key(..., "What is learnt from: see below.")
    )
    estimator: Annotated[
        str | Mapping[str, Any] | list[Any],
        Said("a classifier's name, that name with its options, or a list of steps"),
    ] = _key(..., "A classifier; a list is a pipeline.")
    strategies: Annotated[
        list[Any] | Mapping[str, Any],
        Said("a list of strategies, or names for them"),
    ] = _key(..., "What is compared; random sampling is always there.")
    comparison: Annotated[
        Mapping[Any, Any], Said("a mapping of StrategyComparison's parameters")
    ] = _key({}, "The protocol: see below.")
    grid: Annotated[Mapping[Any, Any], Said("a mapping of keys to lists of values")] = (
        _key({}, "Several runs: see below.")
    )


def fields_of(model: type[Section]) -> dict[str, FieldInfo]:
    """Return the keys of a section, as files have them, and what is said of each."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def flag_of(field: FieldInfo) -> str | None:
    """Return the flag that says a key on the command line."""
    return field.json_schema_extra["flag"]  # type: ignore[index, return-value]


def kinds_of(field: FieldInfo) -> set[Any]:
    """Return the plain types that a key takes, None left out."""
    return set(_kinds(field.annotation)) - {NoneType}


def _kinds(kind: Any) -> Iterator[Any]:
    origin = origin_of(kind)
    if origin is Annotated:
        yield from _kinds(kind.__origin__)
    elif origin in (Union, UnionType):
        for part in get_args(kind):
            yield from _kinds(part)
    else:
        yield kind if origin is None else origin


def check(model: type[Section], section: Mapping[Any, Any], key: Key) -> list[Problem]:
    """Compare a section of a file with its model.

    Parameters
    ----------
    model : class
        What the section may say.
    section : dict
        What it says.
    key : tuple
        Where it stands.

    Returns
    -------
    list of Problem
        One for each key that is unknown, missing or of a wrong value: what is allowed,
        what was given.
    """
    try:
        model.model_validate(section)
    except ValidationError as error:
        # A key that takes several types has an error for each: one sentence says them
        # all. What follows the key in an error's place says which type was tried.
        wrong = {one["loc"][0]: one for one in error.errors(include_url=False)}
    else:
        return []
    fields = fields_of(model)
    problems = []
    for name, one in wrong.items():
        where = (*key, name)
        if name not in fields:
            problems.append(unknown_key(where, fields))
            continue
        field = fields[str(name)]
        text = f"must be {words_of(field)}; got {shown(section.get(name))}."
        if one["type"] == "missing":
            text = f"is missing: it must be {words_of(field)}."
        problems.append(Problem(where, f"{text}{_hint(one['input'], field)}"))
    return problems


def words_of(field: FieldInfo) -> str:
    """Say in words what a key may be."""
    return ", or ".join(words_of_type(field.annotation, field.metadata))


def words_of_type(kind: Any, notes: Collection[Any] = ()) -> Iterator[str]:
    """Yield what a type allows, in words; its own where it has them."""
    said = [note.words for note in notes if isinstance(note, Said | Names)]
    origin, args = origin_of(kind), get_args(kind)
    if said:
        yield said[-1]
    elif origin is Annotated:
        yield from words_of_type(args[0], args[1:])
    elif origin in (Union, UnionType):
        for part in args:
            yield from words_of_type(part)
    elif origin is Literal:
        yield from map(str, args)
    elif origin is None:
        yield "null" if kind is NoneType else getattr(kind, "__name__", str(kind))
    elif issubclass(origin, Mapping):
        yield "a mapping"
    else:
        # Lists, tuples and sequences are the same in a file.
        part = "" if origin is Callable else " or ".join(words_of_type(args[0]))
        yield f"a list of {part}" if part else "a function"


def _hint(given: Any, field: FieldInfo) -> str:
    """Return what may have been meant, where the key takes names."""
    names = next(_names(field.annotation, *field.metadata), None)
    if names is None or not isinstance(given, str):
        return ""
    allowed = f" Allowed: {', '.join(names.names())}." if names.called else ""
    return f"{did_you_mean(given, names.names())}{allowed}"


def _names(*kinds: Any) -> Iterator[Names]:
    """Yield the names that types have anywhere in them."""
    for kind in kinds:
        if isinstance(kind, Names):
            yield kind
        yield from _names(*get_args(kind))
