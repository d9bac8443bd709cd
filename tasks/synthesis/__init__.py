"""Data synthesis: what the model writes itself and what of it is kept."""
