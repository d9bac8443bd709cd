"""Judging: asking a reward model which answer is better, or how good one is."""
