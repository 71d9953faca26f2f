"""What a person reads: the wording of errors, redaction, the progress line."""
