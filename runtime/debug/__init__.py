"""Debuggers: the GDB remote protocol over a guest, breakpoints and watchpoints, recording and running backwards."""
