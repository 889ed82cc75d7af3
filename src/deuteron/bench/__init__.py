"""The figures that the project promises, measured: `deuteron bench`.

A client of the public interfaces only: the HTTP API, the `deuteron` command, the lab and its prober.
"""
