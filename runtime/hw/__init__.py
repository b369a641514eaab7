"""Buses and devices of guest machines: one file a device; nothing here knows a CPU or an accelerator."""
