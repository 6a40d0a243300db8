"""Settings: what is asked, where it is computed, what is shown, and where each value came from."""
