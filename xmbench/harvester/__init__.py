"""What must be looked at before it can be planned: candidates with their media, labels and statuses."""
