"""From .isa text to generated files; knows nothing of running."""
