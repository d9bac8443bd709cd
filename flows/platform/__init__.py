"""The bridge between Prefect and DVC, the servers, and what looks after them."""
