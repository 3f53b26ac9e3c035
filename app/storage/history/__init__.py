"""The history database: history, messages, intents, answers of idempotent requests, jobs, keys."""
