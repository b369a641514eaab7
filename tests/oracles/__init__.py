"""Our instruction sets against programs that others wrote: an emulator, a floating-point library, a disassembler."""
