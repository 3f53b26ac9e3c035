"""Providers of embedders and LLMs: a module or package each, which `registry` finds by its name."""
