"""The stages of UnifiedReward-Think: traces, cold start, sampling, fine-tuning, GRPO, the sheet."""
