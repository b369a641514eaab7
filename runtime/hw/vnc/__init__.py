"""A machine's screen, keyboard and pointer for viewers in the network: the RFB protocol (RFC 6143)."""

#: display number 0, and its port for browsers
FIRST_PORT, FIRST_WEB_PORT = 5900, 5700
