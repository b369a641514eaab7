"""Differential fuzzing: random instruction sequences on two engines or more, compared, and shrunk to what differs."""
