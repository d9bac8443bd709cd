"""The stages of ScaleCap: drafts, objects, captions, what they are worth, and the page."""
