"""What is behind a network card: a user-mode network, sockets, tap."""
