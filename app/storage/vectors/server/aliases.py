"""Aliases of collections, by which one collection replaces another."""

import hashlib
from typing import Any

from qdrant_client import QdrantClient, models


def name_beside(name: str, embedder: str) -> str:
    """The name of a new collection for `embedder`. It is the same each time, so that several runs
    can fill the collection."""
    return f"{name}--{hashlib.sha256(embedder.encode()).hexdigest()[:12]}"


def lead_to(client: QdrantClient, name: str, collection: str) -> None:
    """Make `name` an alias of `collection`, and delete the collection that had this name or
    alias."""
    here = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}
    old = here.get(name)
    if old == collection:  # an interrupted run has done it
        return
    changes: list[Any] = []
    if old:
        gone = models.DeleteAlias(alias_name=name)
        changes.append(models.DeleteAliasOperation(delete_alias=gone))
    else:  # an alias cannot have the name of an existing collection
        client.delete_collection(name)
    new = models.CreateAlias(collection_name=collection, alias_name=name)
    changes.append(models.CreateAliasOperation(create_alias=new))
    client.update_collection_aliases(changes)
    if old:
        client.delete_collection(old)


def drop(client: QdrantClient, collection: str) -> None:
    """Delete `collection`, unless it has an alias."""
    if collection not in {alias.collection_name for alias in client.get_aliases().aliases}:
        client.delete_collection(collection)
