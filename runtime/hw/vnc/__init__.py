"""A machine's screen, keyboard and pointer for viewers in the network: the RFB protocol (RFC 6143)."""
