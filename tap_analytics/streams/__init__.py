"""The streams, a module per API."""
