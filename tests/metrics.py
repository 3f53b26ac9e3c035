"""Reads what /metrics gives, with Prometheus's own parser."""

from prometheus_client.parser import text_string_to_metric_families

from tests.service import Service


def value(service: Service, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels; 0 where there is none."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(scrape(service))
        for sample in family.samples
        if sample.name == f"memory_service_{name}" and labels.items() <= sample.labels.items()
    )


def names(service: Service) -> set[str]:
    """The names of all series, and of families that have none yet."""
    families = list(text_string_to_metric_families(scrape(service)))
    counters = {f"{family.name}_total" for family in families if family.type == "counter"}
    return counters | {sample.name for family in families for sample in family.samples}


def scrape(service: Service) -> str:
    response = service.http.get("/metrics")
    assert response.status_code == 200, response.text
    return response.text
