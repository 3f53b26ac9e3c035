"""The principal: who calls an operation, and which memories they may touch."""

from dataclasses import dataclass, field

from app.errors import Forbidden
from app.security.scopes import Scope, is_within

NO_KEY = "-"


@dataclass(frozen=True)
class Principal:
    """The caller of an operation."""

    id: str
    """`admin`, the id of a scoped key, or `-` where no key is needed."""
    scope: Scope = field(default_factory=dict)
    """The ids that the caller is bound to; empty where the caller may touch everything."""
    read_only: bool = False

    @property
    def key_id(self) -> str | None:
        """The id of the key that was used; None where no key is needed."""
        return None if self.id == NO_KEY else self.id

    def narrowed(self, scope: Scope) -> Scope:
        """`scope`, narrowed to the caller's own. Raises Forbidden where it names another id than
        the caller is bound to."""
        for key, value in scope.items():
            if self.scope.get(key, value) != value:
                raise Forbidden(f"This key is bound to another {key}; leave it out.")
        return {**scope, **self.scope} if self.scope else scope

    def may_see(self, memory: dict[str, object]) -> bool:
        """Whether `memory`, which has ids of a scope as keys, is within the caller's scope."""
        return is_within(memory, self.scope)

    def must_write(self) -> None:
        """Raises Forbidden where the caller may only read."""
        if self.read_only:
            raise Forbidden("This key is read-only.")

    def must_be_admin(self) -> None:
        """Raises Forbidden where the caller is bound to a scope."""
        if self.scope:
            raise Forbidden("This needs the admin key.")


ADMIN = Principal("admin")
ANONYMOUS = Principal(NO_KEY)
"""The caller where no key is needed."""
