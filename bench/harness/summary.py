"""From single runs to medians, ratios and targets."""

import statistics

# What issue and design ask for: (scenario, how it is judged, factor or bound). "best": times the better peer.
TARGETS = {
    "json": ("nginx", 1.0, "≤ nginx, aim 0.8 ×"),
    "json-8k": ("best", 0.9, "≤ 0.9 × the better"),
    "sse-500": ("haproxy", 0.75, "≤ 0.75 × HAProxy"),
    "sse-burst": ("best", 1.0, "≤ the better"),
    "storm": ("nginx", 0.9, "≤ 0.9 × nginx"),
    "rss-stream": ("haproxy", 0.85, "≤ 0.85 × HAProxy"),
    "rss-idle": ("bound", 20.0, "≤ 20 KiB"),
}


def median(values):
    return statistics.median(values) if values else None


def faults_of(result):
    return sum(count for name, count in result["faults"].items() if name != "last_status")


def medians(runs):
    """{scenario: {target: {"value", "runs", "spread", …}}}"""
    table = {}
    for run in runs:
        table.setdefault(run["scenario"], {}).setdefault(run["target"], []).append(run)
    return {scenario: {target: summarise(group) for target, group in row.items()} for scenario, row in table.items()}


def summarise(group):
    values = [run["value"] for run in group]
    middle = median(values)
    return {
        "value": middle,
        "runs": len(group),
        "low": min(values),
        "high": max(values),
        "calls_per_s": median([run["calls"] / run["seconds"] for run in group]),
        "events_per_s": median([run["events"] / run["seconds"] for run in group]),
        "cpu_share": median([run["cpu_share"] for run in group]),
        "faults": sum(faults_of(run) for run in group),
        "latency_us": {q: median([run["latency_us"][q] for run in group]) for q in ("p50", "p75", "p90", "p99", "p999")},
        "first_us": {q: median([run["first_us"][q] for run in group]) for q in ("p50", "p75", "p90", "p99", "p999")},
        "gap_us": {q: median([run["gap_us"][q] for run in group]) for q in ("p50", "p99", "p999")},
    }


def verdict(scenario, row, subject="sluice"):
    """(limit, met) of the scenario's target, or None where it has none or a peer is missing."""
    if scenario not in TARGETS or subject not in row:
        return None
    against, factor, _ = TARGETS[scenario]
    if against == "bound":
        limit = factor
    else:
        peers = [row[name]["value"] for name in (["nginx", "haproxy"] if against == "best" else [against])
                 if name in row]
        if not peers:
            return None
        limit = factor * min(peers)
    return limit, row[subject]["value"] <= limit


def added(row, subject, field):
    """Latency over the direct path, by quantile, in µs."""
    if subject not in row or "direct" not in row:
        return None
    return {q: row[subject][field][q] - row["direct"][field][q] for q in ("p50", "p99", "p999")}


ADDED_TARGETS = {("latency", "p50"): 60, ("latency", "p99"): 200, ("ttft", "p99"): 200}
