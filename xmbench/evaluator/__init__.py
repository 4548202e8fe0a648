"""The one evaluator: check a submission, score it, say how sure the number is."""
