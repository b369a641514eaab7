"""Runs guests: engine, memory, devices, user-mode Linux.  Never imports `gen`."""
