"""What a process owes its shell: signals and standard streams."""
