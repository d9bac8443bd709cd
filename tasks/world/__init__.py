"""The micro-world: rendered pictures whose whole truth is known."""
