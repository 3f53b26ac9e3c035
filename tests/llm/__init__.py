"""The main job on a real small model and a real embeddings server: `make llm` runs it."""
