"""The experiments: from settings to a result."""
