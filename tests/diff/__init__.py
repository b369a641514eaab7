"""Our own engines against each other."""
