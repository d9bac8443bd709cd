"""The stages that make the embedded default."""
