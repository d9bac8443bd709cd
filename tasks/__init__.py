"""Units of work: each reads finished folders and writes one folder."""
