"""The stages of the whole chain; dvc.yaml has them in reading order."""
