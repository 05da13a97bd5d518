"""`lab report`: a run as a page, figures and tables; a comparison of two runs. Needs no running lab."""

from lab.core.extras import require

require("report", "matplotlib", "numpy")
from lab.report.comparison import Comparison, compare  # noqa: E402 - after the check
from lab.report.summary import RunSummary, read, summary_of  # noqa: E402
from lab.report.write import Written, comparison_markdown, write_comparison, write_report  # noqa: E402

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
