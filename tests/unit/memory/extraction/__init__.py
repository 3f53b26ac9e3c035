"""How the LLM is asked, and what is read of its answers."""
