"""What you can start: one file per thing a person asks for."""
