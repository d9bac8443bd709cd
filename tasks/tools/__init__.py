"""Tools that a model uses: programs that run, and searches that can be had again."""
