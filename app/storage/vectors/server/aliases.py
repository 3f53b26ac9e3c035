"""Names that lead to collections: how one takes the place of another."""

import hashlib
from typing import Any

from qdrant_client import QdrantClient, models


def name_beside(name: str, embedder: str) -> str:
    """Of a collection that is made anew: the same for the same embedder, so that it can be made
    in several runs."""
    return f"{name}--{hashlib.sha256(embedder.encode()).hexdigest()[:12]}"


def lead_to(client: QdrantClient, name: str, collection: str) -> None:
    """Let `name` lead to `collection`, and delete what it was, or led to."""
    here = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}
    old = here.get(name)
    if old == collection:  # it was cut off after this
        return
    changes: list[Any] = []
    if old:
        gone = models.DeleteAlias(alias_name=name)
        changes.append(models.DeleteAliasOperation(delete_alias=gone))
    else:  # an alias cannot have the name of a collection
        client.delete_collection(name)
    new = models.CreateAlias(collection_name=collection, alias_name=name)
    changes.append(models.CreateAliasOperation(create_alias=new))
    client.update_collection_aliases(changes)
    if old:
        client.delete_collection(old)


def drop(client: QdrantClient, collection: str) -> None:
    """Delete it, unless a name leads to it."""
    if collection not in {alias.collection_name for alias in client.get_aliases().aliases}:
        client.delete_collection(collection)
