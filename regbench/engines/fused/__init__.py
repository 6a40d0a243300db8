"""Each network trained alone by compiled code."""
