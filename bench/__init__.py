"""Speed measured side by side: the native program, qemu-user and isomorph, in one run."""
