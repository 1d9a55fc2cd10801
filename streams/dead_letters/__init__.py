"""What could not be classified or stored: how it is written, found, replayed and parked."""
