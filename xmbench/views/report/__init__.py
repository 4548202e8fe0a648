"""One self-contained page per result, which opens from a file: details of the numbers.

::

    facts      header, scores with the board's lower and upper bounds, per class, failed items
    spread     the distribution of every metric with the lower and upper bounds
    confusion  the class that the judge found against the requested class
    items      best, median and worst items with their media

The media come from the submission and the data set; without them the page has tables and charts, and says so.
"""

from __future__ import annotations

from xmbench.views.report.write import Reported, write_report

__all__ = ["Reported", "write_report"]
