"""ScaleCap (arXiv 2506.19848): what of a caption is trusted, and what is asked about it."""
