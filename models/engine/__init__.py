"""Lightning hosts TRL: the training step, strategies, checkpoints that outlive a kill."""
