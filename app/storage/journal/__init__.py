"""The journal: intents and recovery make each write atomic, even when a process is killed or a
store fails in the middle of it."""
