"""The `isomorph` command."""
