"""How a response becomes records. This room knows no sessions and no Singer messages."""
