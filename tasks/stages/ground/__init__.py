"""The stages of GCoT: lessons, boxes, reasoner, reasoning, and its page."""
