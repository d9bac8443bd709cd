"""Experiments that put the papers' headline claims to the test on the embedded default."""
