"""The version of regbench."""

__version__ = "0.1.0"
