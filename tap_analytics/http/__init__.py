"""How requests travel. This room knows no listings and no Singer messages."""
