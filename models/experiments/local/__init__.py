"""The engine `local`: processes of this machine, each with one run in hand and one thread for its products."""
