"""Finding pages: an index on disk, and its search."""
