"""Runs the statements of this folder in DuckDB over the spans of an Arrow IPC file; one JSON object a line.

Usage: peer.py SPANS.arrow THREADS ROUNDS, statements on standard input as a JSON object of name to text.
The attributes are handed over as plain columns and made one struct, so that attributes['key'] reads the same.
"""
import json
import sys
import time

import duckdb
import pyarrow as pa


def plain(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


path, threads, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
statements = json.load(sys.stdin)
con = duckdb.connect(config={"threads": threads})
con.execute("SET TimeZone = 'UTC'")
handed = pa.ipc.open_file(pa.memory_map(path)).read_all()
keys = [name for name in handed.column_names if name.startswith("attribute:")]
fields = ", ".join(f"'{key.removeprefix('attribute:')}': \"{key}\"" for key in keys)
others = ", ".join(name for name in handed.column_names if name not in keys)
con.execute(f"CREATE TABLE spans AS SELECT {others}, {{{fields}}} AS attributes FROM handed")
del handed
for name, statement in statements.items():
    best, rows = None, []
    for _ in range(rounds):
        started = time.perf_counter()
        rows = con.execute(statement).fetchall()
        took = time.perf_counter() - started
        best = took if best is None else min(best, took)
    rows = [[plain(value) for value in row] for row in rows]
    print(json.dumps({"name": name, "seconds": best, "rows": rows}), flush=True)
