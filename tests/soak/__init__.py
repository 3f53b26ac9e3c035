"""Long: many rounds of what is random, whole tables of what may fail, and what has to be waited
for: kills, restarts, slow clients, several processes.

tests/wire/test_briefly.py has a little of it.
"""
