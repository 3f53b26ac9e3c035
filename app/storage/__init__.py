"""Storage: the vectors, the history, and the journal that keeps the two consistent."""
