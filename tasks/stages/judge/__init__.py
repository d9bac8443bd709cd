"""The stages of UnifiedReward: judgements, judge, its answers, its sheet, and preference pairs."""
