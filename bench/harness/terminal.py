"""The table on the terminal."""

from .summary import ADDED_TARGETS, TARGETS, added, verdict


def cell(row, name):
    if name not in row:
        return "-"
    seen = row[name]
    mark = "!" if seen["faults"] else ""
    return f"{seen['value']:.1f}{mark}" if seen["value"] < 1000 else f"{seen['value']:,.0f}{mark}"


def print_table(scenarios, table, names, out):
    width = max((len(name) for name in names), default=8) + 2
    print(f"\n{'':46}{'':16}" + "".join(f"{name:>{max(width, 10)}}" for name in names) + "   ratio  target", file=out)
    for scenario in scenarios:
        row = table.get(scenario.name)
        if not row or scenario.name in ("latency", "ttft"):
            continue
        line = f"{scenario.title:46}{scenario.unit:16}"
        line += "".join(f"{cell(row, name):>{max(width, 10)}}" for name in names)
        judged = verdict(scenario.name, row)
        peers = [row[name]["value"] for name in ("nginx", "haproxy") if name in row]
        if "sluice" in row and peers:
            line += f"{row['sluice']['value'] / min(peers):8.2f}"
        if judged:
            line += f"  {TARGETS[scenario.name][2]}: {'met' if judged[1] else 'MISSED'}"
        print(line, file=out)
    print_added(table, names, out, width)
    if any(seen["faults"] for row in table.values() for seen in row.values()):
        print("! some calls of this cell failed; see the JSON", file=out)


def print_added(table, names, out, width):
    for scenario, field, title in (("latency", "latency_us", "added latency at 500 calls/s"),
                                   ("ttft", "first_us", "added time to first token, half load")):
        row = table.get(scenario, {})
        for quantile in ("p50", "p99", "p999"):
            over = {name: added(row, name, field) for name in names}
            if not any(over.values()):
                continue
            line = f"{title + ' ' + quantile:46}{'µs':16}"
            line += "".join(f"{over[name][quantile]:>{max(width, 10)}.0f}" if over[name] else f"{'-':>{max(width, 10)}}"
                            for name in names)
            bound = ADDED_TARGETS.get((scenario, quantile))
            if bound and over.get("sluice"):
                line += f"{'':8}  ≤ {bound} µs: {'met' if over['sluice'][quantile] <= bound else 'MISSED'}"
            print(line, file=out)
