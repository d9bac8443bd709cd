"""Tools that models use: programs that really run, searches that can be had again."""
