"""The embedded default: a Qwen3-VL for two CPU cores, and its pretraining."""
