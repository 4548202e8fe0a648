"""One upstream corpus per module: what it holds and how to read one item. No torch, no disk, no network."""
