"""What is kept in SQL: history, messages, intents and the answers of idempotent requests."""
