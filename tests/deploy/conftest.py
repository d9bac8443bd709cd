"""The small checkout is that of the flows' tests."""

from tests.flows.conftest import make_checkout, template  # noqa: F401
