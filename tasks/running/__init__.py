"""How a stage is run, and nothing of what it computes."""
