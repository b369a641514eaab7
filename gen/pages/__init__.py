"""Pages about an instruction set, made from the checked spec: reference pages, and the pieces `explain` shares."""
