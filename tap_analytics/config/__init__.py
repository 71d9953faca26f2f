"""What can be set, and what can be wrong with it."""
