"""User-mode Linux: ELF images, system calls, signals."""
