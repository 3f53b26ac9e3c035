"""Imports conversations by the LLM: it finds the memories in them."""

import hashlib
import json
from typing import Any

from app.errors import OF_ONE_TEXT, ProviderBadAnswer, ServiceError
from app.memory.adding import Adding
from app.memory.requests import AddRequest
from app.memory.transfer.models import ConversationLine
from app.memory.transfer.report import Report
from app.memory.transfer.requests import ImportRequest
from app.memory.validation import validated
from app.security.principal import Principal
from app.storage.vectors.paging import sliced

ASKED_AT_ONCE = 20  # messages in one call, about as many as an agent adds at once
OF_ONE_CONVERSATION = (*OF_ONE_TEXT, ProviderBadAnswer)


class Inferring:
    """Adds conversations with `infer`."""

    def __init__(
        self, adding: Adding, principal: Principal, asked: ImportRequest, report: Report
    ) -> None:
        self._adding = adding
        self._principal = principal
        self._dry_run = asked.dry_run
        self._report = report

    def find(self, number: int, line: ConversationLine) -> None:
        """Add a conversation in parts. Each part has an idempotency key made from its content, so
        that a repeat of the import does not ask the LLM again. Raises failures that do not concern
        this conversation alone."""
        for part in sliced(line.messages, ASKED_AT_ONCE):
            if self._dry_run or all(one.role == "system" for one in part):
                continue
            time = next((one.time for one in part if one.time), line.timestamp)
            said = [one.model_dump(include={"role", "content", "name"}) for one in part]
            body: dict[str, Any] = {"messages": said, "infer": True, **line.scope()}
            body |= {"timestamp": time} if time else {}
            try:
                self._add(body)
            except ServiceError as error:
                if type(error) not in OF_ONE_CONVERSATION:
                    raise
                self._report.fail(number, error.code, error.detail)

    def _add(self, body: dict[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        asked = validated(AddRequest, body, self._principal)
        found = self._adding.add(self._principal, asked, f"import-{key}")
        self._report.count("inferred", len(found.stored))
