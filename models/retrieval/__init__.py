"""Retrieval of pages by many vectors each, and fewer of them."""
