"""What travels between stages: rows, boxes, pictures."""
