"""The contract, with many random requests: tests/contract/ sends few of them."""

import os
from pathlib import Path

from tests.contract.test_openapi import check_contract
from tests.service import Service
from tests.soak.rounds import ROUNDS

SEED = None if {"ROUNDS", "FUZZ_REQUESTS"} & {name for name, v in os.environ.items() if v} else 2
EXAMPLES = max(ROUNDS // 3, int(os.environ.get("FUZZ_REQUESTS") or 0) // 100)


def test_the_service_does_as_it_says_also_when_asked_for_long(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as service:
        check_contract(service, EXAMPLES, SEED)
