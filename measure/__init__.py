"""What a client of the cluster sees, measured from outside: write gap, lost commits, two writers.

Pure and free of imports beyond the standard library: `gap`, `loss`, `writers`, `records`.
With I/O: `link` (a bounded libpq connection), `writer` and `probe` (child processes), `child`, `access`.
All times are seconds of CLOCK_MONOTONIC, which every process on one machine shares.
"""
