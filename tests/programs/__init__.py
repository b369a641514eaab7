"""Real programs, built by stock cross-compilers, against qemu-user."""
