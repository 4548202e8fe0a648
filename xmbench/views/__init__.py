"""Pages for people: preview, report, gallery."""
