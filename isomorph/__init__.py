"""Isomorph: one .isa file per instruction set; everything else is generated."""

__version__ = "0.1.0"
