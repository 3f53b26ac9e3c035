"""Export and import of memories as lines, and import from the formats of other services."""
