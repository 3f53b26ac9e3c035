"""`python -m app.token` stands in people's scripts; see app.cli.mint_key."""

import sys

from app.cli.mint_key import main

if __name__ == "__main__":
    sys.exit(main())
