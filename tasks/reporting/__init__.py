"""Reporting: what people look at."""
