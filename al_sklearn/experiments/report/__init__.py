"""One HTML file that tells what a comparison found to somebody who did not run it."""

from al_sklearn.experiments.report._facts import FACTS, ReportFacts
from al_sklearn.experiments.report._figures import ReportData, figures
from al_sklearn.experiments.report._headline import headline
from al_sklearn.experiments.report._latex import latex_table
from al_sklearn.experiments.report._page import write_report
from al_sklearn.experiments.report._results import Results

__all__ = [
    "FACTS",
    "ReportData",
    "ReportFacts",
    "Results",
    "figures",
    "headline",
    "latex_table",
    "write_report",
]
