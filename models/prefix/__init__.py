"""What the rows of a batch have in common is computed once, in sampling, scoring and training."""
