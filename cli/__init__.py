"""The `flumen` command: one thin file a verb group."""
