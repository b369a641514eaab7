"""PCI Express: a host bridge, functions with their configuration space."""
