"""Machines from a command line: QEMU's options, what they ask for, and the machine built from it."""
