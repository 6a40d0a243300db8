"""What is trained: the synthetic task, the network, and where random numbers come from."""
