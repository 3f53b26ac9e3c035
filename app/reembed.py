"""`python -m app.reembed` stands in people's scripts; see app.cli.reembed."""

from app.cli.reembed import main

if __name__ == "__main__":
    main()
