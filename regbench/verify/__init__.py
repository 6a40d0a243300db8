"""Cases with known answers, and the answers."""
