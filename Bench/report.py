"""The bench's table and chart."""


def table(results):
    """Rows of (load, server, medians) as text with aligned columns."""
    head = ["what", "load", "server", "a second", "CPU s per 1,000", "KB written", "syncs", "system calls", "allocations"]
    rows = [head]
    for one, servers in results.items():
        for server, r in servers.items():
            rows.append([
                one.kind, one.name, server, f"{r['perSecond']:,.0f}", f"{r['cpuPer1000']:.3f}", f"{r['bytesWritten'] / 1000:.1f}",
                f"{r['syncs']:.2f}" if "syncs" in r else "", f"{r['systemCalls']:.0f}" if "systemCalls" in r else "",
                f"{r['allocations']:.0f}" if "allocations" in r else ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


COLOURS = {"Postfix": "#9aa5b1", "Postfix + Dovecot": "#9aa5b1", "Martlet": "#d9622b"}
PANELS = [
    ("relayed", "Relayed a second, until the last arrives (longer is better)", "perSecond", "{:,.0f}"),
    ("relayed", "CPU seconds for 1,000 relayed messages (shorter is better)", "cpuPer1000", "{:.2f}"),
    ("delivered", "Delivered a second, until the last can be read (longer is better)", "perSecond", "{:,.0f}"),
    ("delivered", "CPU seconds for 1,000 delivered messages (shorter is better)", "cpuPer1000", "{:.2f}"),
]


def chart(results, machine):
    """An SVG: messages a second and CPU a message for each load, as bars."""
    parts, y = [], 64
    for kind, title, key, form in PANELS:
        shown = {one: servers for one, servers in results.items() if one.kind == kind}
        if not shown:
            continue
        parts.append(f'<text x="24" y="{y}" class="h">{title}</text>')
        y += 12
        top = max(r[key] for servers in shown.values() for r in servers.values())
        for one, servers in shown.items():
            parts.append(f'<text x="24" y="{y + 22}">{one.name}</text>')
            for server, r in servers.items():
                width = max(r[key] / top * 380, 1)
                parts.append(f'<rect x="220" y="{y + 4}" width="{width:.1f}" height="14" rx="2" fill="{COLOURS[server]}"/>')
                parts.append(f'<text x="{226 + width:.1f}" y="{y + 15}" class="n">{server} {form.format(r[key])}</text>')
                y += 18
            y += 10
        y += 26
    parts.append(f'<text x="24" y="{y - 6}" class="n">{machine}</text>')
    style = "text{font:13px system-ui,sans-serif;fill:#24292f}.h{font-weight:600}.n{font-size:11px;fill:#57606a}.t{font-size:17px;font-weight:700}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{y + 10}" viewBox="0 0 800 {y + 10}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="24" y="34" class="t">Martlet beside Postfix and Dovecot: one machine, one disk, every message synced before its 250</text>'
        + "".join(parts) + "</svg>\n")
