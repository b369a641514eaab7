"""Differential fuzzing: short campaigns, and the cases that longer ones found."""
