"""One offline page on which people score outputs, and what their files give.

::

    write    the page, and its key: which output is whose
    wording  what a rater reads: the task and the meaning of each score
    style    its style
    script   its script: orders, scores, progress in the browser, the rater's file
    summary  what all raters said: tables, sentences, Markdown

The protocol is that of the human evaluation in L. Chen, S. Srivastava, Z. Duan and C. Xu, "Deep Cross-Modal
Audio-Visual Generation" (2017), section 5.2.1: for each class some sets, in each an output of every system and the
ground truth; scores from 0 to 3; raters know the class, and not what is whose. Ours beside it: the condition is shown
or played, sets and outputs come in an order drawn for each rater, some sets come twice.
"""

from __future__ import annotations

from xmbench.views.rating.summary import markdown, sentences, tables
from xmbench.views.rating.write import Options, Written, write_rating_page

__all__ = ["Options", "Written", "markdown", "sentences", "tables", "write_rating_page"]
