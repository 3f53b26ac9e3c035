"""Long: many rounds of what is random, and whole tables of what may fail."""
