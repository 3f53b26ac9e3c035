"""How much of what is made up at random: `make soak ROUNDS=1000` for a night."""

import os

ROUNDS = int(os.environ.get("ROUNDS") or 120)
