"""Reads images one after the other in one process whose readers go on running, as those of the service do.

`python -m benchmarks.analysis_running CACHE LAYOUT …` prints the seconds that each took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from ingest.analysis import analysing, cache_in
from ingest.limits import ReadLimits
from ingest.sources import open_source
from portolan.commands.analyzing import READER_MEMORY


async def _read(cache: Path, layouts: list[str]) -> list[float]:
    seconds: list[float] = []
    readers = len(os.sched_getaffinity(0))
    async with analysing(readers, READER_MEMORY, cache_in(cache), ReadLimits(), lambda done, total: None) as analysis:
        for layout in layouts:
            source = open_source(f"oci:{layout}", lambda host, repository: None)
            begun = time.perf_counter()
            await analysis.one(source, layout)
            seconds.append(time.perf_counter() - begun)
            await source.aclose()
    return seconds


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_read(Path(sys.argv[1]), sys.argv[2:]))))
