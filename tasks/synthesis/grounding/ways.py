"""The ways in which held-out questions are asked, before and after."""

WAYS = ("start, asked plainly", "start, asked to reason", "after")
WITH_CHAINS = ("grounded", "unverified", "chains")  # what is learnt as a chain of thought


def folder_of_way(name: str) -> str:
    """Return the folder of the answers of one way of asking.

    >>> folder_of_way("start, asked plainly")
    'start-asked-plainly'
    """
    return name.replace(",", "").replace(" ", "-")
