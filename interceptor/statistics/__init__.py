"""What an image's pixels say by themselves: light, colour, objects, sharpness; a whole micro-batch at once."""
