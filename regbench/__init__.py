"""regbench measures what a regularizer really does to a network."""

__version__ = "0.1.0"
