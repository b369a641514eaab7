"""Virtio 1.2: queues, transports, and one file a device."""
