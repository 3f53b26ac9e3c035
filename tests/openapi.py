"""openapi.yaml, read once for all who test against it."""

from typing import Any

import yaml

from tests.service import ROOT

# The loader in C takes 0.1 s, the one in Python 1 s.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CONTRACT: dict[str, Any] = yaml.load((ROOT / "openapi.yaml").read_text(), LOADER)  # noqa: S506  (both are safe)
