"""What training leaves behind, and what it says: arrays and statistics, without torch."""
