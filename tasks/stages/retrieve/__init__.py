"""Light-ColPali: finding the page that answers a question."""
