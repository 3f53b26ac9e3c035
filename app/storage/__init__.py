"""Where things are kept: vectors, history, and the journal that holds the two together."""
