"""Reward models with a head of their own."""
