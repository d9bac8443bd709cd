"""The stages of ScaleCap: drafts, details, captions, what they are worth, and the page."""
