"""Report (being written)."""


def write_report(root, out, frame):
    raise NotImplementedError
