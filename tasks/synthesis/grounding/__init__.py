"""GCoT's parts (arXiv 2507.02859): what is to be found, what was found, and where it is written."""
