"""`lab report`: a run of `lab measure` as a page, figures and tables; two runs side by side. Needs no running lab."""

from lab.report.comparison import Comparison, compare
from lab.report.summary import RunSummary, read, summary_of
from lab.report.write import Written, comparison_markdown, write_comparison, write_report

__all__ = [
    "Comparison",
    "RunSummary",
    "Written",
    "compare",
    "comparison_markdown",
    "read",
    "summary_of",
    "write_comparison",
    "write_report",
]
