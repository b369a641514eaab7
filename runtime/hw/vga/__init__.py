"""Graphics cards: a PC's VGA, and a framebuffer with Bochs' registers."""
