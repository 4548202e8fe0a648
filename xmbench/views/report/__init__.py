"""One self-contained page per result, which opens from a file: what stands behind the numbers.

::

    facts      header, scores beside the board's floors and ceilings, per class, failed items
    spread     the distribution of every metric against the floors and ceilings
    confusion  what the judge found, against what was asked for
    items      best, median and worst items with their media

The media come from the submission and the data set; without them the page has tables and charts, and says so.
"""

from __future__ import annotations

from xmbench.views.report.write import Reported, write_report

__all__ = ["Reported", "write_report"]
