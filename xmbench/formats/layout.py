"""Names of the files in a data set directory.

::

    README.md  manifest.json  ledger.parquet  data/<split>-0000i-of-0000n.parquet  judges/  .build/ (unfinished)
    .decoded/ (derived: what training reads)
"""

from __future__ import annotations

import re

CARD_FILE = "README.md"
MANIFEST_FILE = "manifest.json"
LEDGER_FILE = "ledger.parquet"
DATA_FOLDER = "data"
WORK_FOLDER = ".build"
DECODED_FOLDER = ".decoded"
SPLITS = ("train", "test")
SHARD_NAME = re.compile(r"^(train|test)-\d{5}-of-\d{5}\.parquet$")

# How rows are divided among shards. In the second, the present one, shards are runs of the sorted ids.
HASHED_LAYOUT = "xmbench/build/1"
SORTED_LAYOUT = "xmbench/build/2"
