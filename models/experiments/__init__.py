"""Many trainings that differ in their parameters: which there are, which stand already, and who computes which."""
