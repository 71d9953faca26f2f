"""From records to Singer messages. Only this room and `tap.py` touch private members of the SDK."""
