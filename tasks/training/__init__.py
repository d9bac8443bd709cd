"""Training stages: the base model, the reward model, and the policy."""
