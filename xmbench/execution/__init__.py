"""Running tasks in processes: here, in a pool, or on Ray."""
