"""How much of what is made up at random: `make soak ROUNDS=1000` for a night."""

import os

ROUNDS = int(os.environ.get("ROUNDS") or 120)

# What is asked for, of whom and by how many, where the orders of what happened are judged.
CLIENTS = 6
USERS = ("ann", "bob", "cat")
SHARES = {
    "add": 13,
    "text": 16,
    "metadata": 14,
    "delete": 4,
    "get": 25,
    "get_all": 12,
    "history": 10,
    "delete_all": 2,
    "purge": 2,
    "reset": 1,
}
