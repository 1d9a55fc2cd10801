"""`python -m bench.looking_back`: reclassify, audit, drift and more, each beside what it is held to."""
