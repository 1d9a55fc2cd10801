"""Dead letters: the newest of them by stage and kind of error, one looked at safely, replayed or parked."""
