"""The vector stores: one contract (base), one module for each engine."""
