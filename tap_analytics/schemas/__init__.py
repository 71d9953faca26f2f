"""One JSON Schema per stream, in a file named after it."""
