"""What engines and devices share: state layout, memory, stop reasons."""
