"""Assembler and disassembler: engines at run time over the tables in build/<isa>/syntax.py."""
