"""How the registry benchmark turns samples into ratios and verdicts."""

from __future__ import annotations

from benchmarks.generator import Sample
from benchmarks.report import compare, comparison_table, detail_table, remarks, verdicts

ONE, TWO, OTHER = "Portolan, 1 web process", "Portolan, 2 web processes", "distribution"


def sample(server: str, number: int, rate: float, row: str = "blob-head", clients: int = 16, error: str = "") -> Sample:
    return Sample(row, clients, server, number, rate=rate, operations=1, error=error)


def test_a_ratio_is_of_one_round_and_the_median_is_of_ratios() -> None:
    samples = [sample(OTHER, 0, 100), sample(OTHER, 1, 1000), sample(OTHER, 2, 100)]
    samples += [sample(ONE, 2, 190), sample(ONE, 0, 150), sample(ONE, 1, 1600)]

    (comparison,) = compare(samples, {ONE: 1}, OTHER, judged=True)

    assert comparison.ratios == (1.5, 1.6, 1.9)
    assert (comparison.ratio, comparison.rate, comparison.other_rate) == (1.6, 190, 100)
    assert comparison.verdict == "reached"
    assert "| 1.60 (1.50–1.90) | ≥ 1.5 | reached |" in comparison_table([comparison], OTHER)


def test_only_sixteen_clients_and_one_web_process_are_judged() -> None:
    samples = [
        sample(server, 0, 100, row, clients)
        for row in ("blob-head", "blob-get-large")
        for clients in (16, 1)
        for server in (ONE, TWO, OTHER)
    ]

    comparisons = compare(samples, {ONE: 1, TWO: 2}, OTHER, judged=True)

    assert {(c.row.name, c.clients, c.server): c.verdict for c in comparisons if c.verdict != "reported"} == {
        ("blob-head", 16, ONE): "MISSED",
        ("blob-get-large", 16, ONE): "reached",
    }
    assert verdicts(comparisons)[-1] == "1 of 2 goals reached"
    assert all(c.goal is None for c in compare(samples, {ONE: 1}, OTHER, judged=False))


def test_a_failed_measurement_fails_its_row_and_is_told() -> None:
    samples = [sample(ONE, 0, 300), sample(OTHER, 0, 100), sample(ONE, 1, 0, error="status 500"), sample(OTHER, 1, 100)]

    (comparison,) = compare(samples, {ONE: 1}, OTHER, judged=True)

    assert comparison.verdict == "FAILED"
    assert "FAILED" in comparison_table([comparison], OTHER)
    assert remarks(samples) == [f"blob-head, 16 clients, {ONE}, round 2 failed: status 500"]
    assert "failed" not in detail_table(samples, [ONE, OTHER])  # one good round is left to be shown
    assert verdicts([comparison])[-1] == "0 of 1 goals reached"
