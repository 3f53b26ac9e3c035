"""Requests whose filters may have ids of a scope, as those of mem0's clients do."""

from app.memory.fields import FiltersWithIds, Omittable
from app.memory.requests import GetAllRequest, SearchRequest


class FilteredGetAllRequest(GetAllRequest):
    filters: Omittable[FiltersWithIds] = None


class FilteredSearchRequest(SearchRequest):
    filters: Omittable[FiltersWithIds] = None
