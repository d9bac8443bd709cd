"""The server that other programs ask a judge at: its door, its forms, its batches, its answers."""
