"""The stages of few-shot reinforcement: shots, reinforced, perception; and its experiment."""
