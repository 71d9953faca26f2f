"""What a person reads: the wording of errors, the log without secrets, the progress."""
