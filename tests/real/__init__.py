"""Against programs that not everybody has; `make` names each."""
