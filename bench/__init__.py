"""Measurements, side by side with a hand-written loop and with the machine's own limits."""
