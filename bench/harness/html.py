"""The HTML report: tables and plots as inline SVG, one file, nothing fetched."""

import html

from .summary import TARGETS, verdict

COLOURS = {"sluice": "#1b6ac9", "sluice-direct": "#7fb0ea", "nginx": "#3a9a4b", "haproxy": "#d1852b", "direct": "#999999",
           "litellm": "#a04fb0", "portkey": "#c94f6d", "bifrost": "#5f6b7a"}
STYLE = ("body{font:14px system-ui,sans-serif;max-width:1000px;margin:2em auto;color:#222}table{border-collapse:collapse}"
         "td,th{border:1px solid #ddd;padding:3px 8px;text-align:right}td:first-child,th:first-child{text-align:left}"
         ".met{color:#187a2f}.missed{color:#b3261e}svg{margin:6px 12px 6px 0}")


def colour(name):
    return COLOURS.get(name, "#555555")


def bars(title, values, unit):
    """Horizontal bars of {name: value}."""
    if not values:
        return ""
    top = max(values.values()) or 1
    rows = []
    for i, (name, value) in enumerate(values.items()):
        y = 34 + 24 * i
        rows.append(f'<text x="96" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>'
                    f'<rect x="102" y="{y}" width="{250 * value / top:.1f}" height="17" fill="{colour(name)}"/>'
                    f'<text x="{108 + 250 * value / top:.1f}" y="{y + 13}">{value:,.1f}</text>')
    return (f'<svg width="450" height="{44 + 24 * len(values)}" font-size="12"><text x="4" y="18" font-weight="bold">'
            f'{html.escape(title)} ({html.escape(unit)})</text>{"".join(rows)}</svg>')


def lines(title, series, x_title, y_title):
    """Curves of {name: [(x label, y)]} over evenly spaced labels."""
    points = [y for line in series.values() for _, y in line]
    if not points:
        return ""
    top = max(points) or 1
    labels = [label for label, _ in max(series.values(), key=len)]
    step = 360 / max(len(labels) - 1, 1)
    parts = [f'<text x="4" y="16" font-weight="bold">{html.escape(title)}</text>',
             f'<text x="250" y="252" text-anchor="middle">{html.escape(x_title)}</text>',
             f'<text x="4" y="34">{html.escape(y_title)}</text>',
             '<path d="M70 40V216H440" fill="none" stroke="#aaa"/>']
    for i in range(5):
        y = 216 - 44 * i
        parts.append(f'<text x="66" y="{y + 4}" text-anchor="end">{top * i / 4:,.0f}</text>')
    for i, label in enumerate(labels):
        parts.append(f'<text x="{70 + step * i:.0f}" y="232" text-anchor="middle">{label}</text>')
    for k, (name, line) in enumerate(series.items()):
        path = " ".join(f"{70 + step * labels.index(label):.1f},{216 - 176 * y / top:.1f}" for label, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(name)}" stroke-width="2"/>'
                     f'<text x="452" y="{52 + 18 * k}" fill="{colour(name)}">{html.escape(name)}</text>')
    return f'<svg width="560" height="262" font-size="12">{"".join(parts)}</svg>'


def table_of(scenarios, table, names):
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = []
    for scenario in scenarios:
        row = table.get(scenario.name)
        if not row:
            continue
        cells = "".join(f"<td>{row[name]['value']:,.1f}</td>" if name in row else "<td>-</td>" for name in names)
        judged = verdict(scenario.name, row)
        target = ""
        if judged:
            word = "met" if judged[1] else "missed"
            target = f'<span class="{word}">{html.escape(TARGETS[scenario.name][2])}: {word}</span>'
        rows.append(f"<tr><td>{html.escape(scenario.title)}</td><td>{scenario.unit}</td>{cells}<td>{target}</td></tr>")
    return f"<table><tr><th>scenario</th><th>unit</th>{head}<th>target</th></tr>{''.join(rows)}</table>"


def quantile_curves(row, field):
    return {name: [(q, seen[field][q]) for q in ("p50", "p75", "p90", "p99", "p999")] for name, seen in row.items()}


def page(about, scenarios, table, names, growth, notes):
    plots = []
    for scenario in scenarios:
        row = table.get(scenario.name, {})
        if scenario.name in ("latency", "ttft"):
            field = "latency_us" if scenario.name == "latency" else "first_us"
            plots.append(lines(scenario.title, quantile_curves(row, field), "quantile", "µs"))
        else:
            plots.append(bars(scenario.title, {name: row[name]["value"] for name in names if name in row}, scenario.unit))
    for name in ("json", "sse-burst", "storm"):
        row = table.get(name, {})
        plots.append(bars(f"throughput: {name}", {n: row[n]["calls_per_s"] for n in names if n in row}, "calls/s"))
    for title, series, x_title, unit in growth:
        plots.append(lines(title, series, x_title, unit))
    facts = "".join(f"<li>{html.escape(line)}</li>" for line in [*about, *notes])
    return (f'<!doctype html><meta charset="utf-8"><title>Sluice: benchmark</title><style>{STYLE}</style>'
            f"<h1>Sluice beside its peers</h1><ul>{facts}</ul>{table_of(scenarios, table, names)}<h2>Plots</h2>"
            f'<div>{"".join(plots)}</div>')
