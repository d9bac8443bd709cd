"""Questions to models, their answers, and how coordinates are written in them."""
