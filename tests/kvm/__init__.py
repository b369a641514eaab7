"""KVM: its interface, our guests in each of the processor's modes, and Linux programs at user level."""
