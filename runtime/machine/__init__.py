"""Machines: boards made of devices, what runs their processors, and how users stop, inspect and save them."""
