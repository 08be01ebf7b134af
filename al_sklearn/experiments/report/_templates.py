"""The report's templates, and how they write numbers."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from al_sklearn.experiments.plots import png_data_uri
from al_sklearn.experiments.report import _words


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("al_sklearn.experiments.report"),
        # Names of classes and strategies are anybody's; sentences are escaped where the
        # page has them.
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        # A missing value is an error, not a gap.
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        filter_.__name__: filter_
        for filter_ in (
            _words.count_text,
            _words.gain_text,
            _words.interval_text,
            _words.listed,
            _words.p_text,
            _words.percent,
            _words.percent_range,
            _words.range_text,
            _words.saving_text,
            _words.seen_text,
            _words.seconds_text,
            _words.signed_text,
            _words.value_text,
            png_data_uri,
        )
    }
    return environment


def template(name: str) -> Template:
    """Return a template of the folder ``templates``."""
    return _environment().get_template(name)
