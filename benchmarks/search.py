"""How fast Portolan searches 10,000 images: `python -m benchmarks.search`.

The corpus of `benchmarks.search_corpus` is written into a data directory; Portolan is started on it as people start it
(one web process, the ingest process that owns the indexes); each question of `benchmarks.search_queries` and each
look-up is asked through the API again and again, in turns, over one connection.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import math
import random
import shutil
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from benchmarks import machine, servers
from benchmarks.search_corpus import IMAGES
from benchmarks.search_loading import Loaded, load
from benchmarks.search_queries import QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The goals: milliseconds of the 95th percentile through the API, images a second that are written.
SEARCH_GOAL, LOOK_UP_GOAL, INDEXING_GOAL = 20.0, 5.0, 1000.0
#: Times that everything is asked before the clock counts.
_WARMING = 3


@dataclass
class Row:
    """A question or a look-up, what it found when it was first asked, and the milliseconds of each answer."""

    name: str
    goal: float
    path: Callable[[random.Random], str]
    found: int = 0
    samples: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Return the time within which *share* of all answers came (nearest rank)."""
        return percentile(self.samples, share)


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample at the nearest rank."""
    return sorted(samples)[max(math.ceil(len(samples) * share) - 1, 0)]


class Api:
    """The JSON API over one connection that is kept alive."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._headers = {"authorization": f"Bearer {token}"}

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def get(self, path: str) -> tuple[float, bytes]:
        """Ask once; return the milliseconds until the whole answer was there, and its body."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - begun) * 1000
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status}\n{body.decode(errors='replace')}")
        return took, body


def questions(loaded: Loaded) -> list[Row]:
    """Return the twenty questions, filled in."""
    rows = []
    for question in QUESTIONS:
        query = question.query.format_map(loaded.corpus.names)
        path = "/api/v1/search?" + urlencode({"q": query})
        rows.append(Row(f"{question.wish}: `{question.query}`", SEARCH_GOAL, lambda dice, path=path: path))  # type: ignore[misc]
    return rows


def look_ups(loaded: Loaded) -> list[Row]:
    """Return the look-ups: each time of something else."""

    def layer(dice: random.Random) -> str:
        return f"/api/v1/layers/{dice.choice(loaded.layers)}"

    def package(dice: random.Random) -> str:
        ecosystem, name = dice.choice(loaded.packages)
        return f"/api/v1/packages/{ecosystem}/{quote(name)}"

    def package_within(dice: random.Random) -> str:
        return package(dice) + "?" + urlencode({"version": f"<{dice.randint(1, 3)}.{dice.randint(1, 3)}"})

    def files(dice: random.Random) -> str:
        return "/api/v1/files?" + urlencode({"path": f"/{dice.choice(loaded.paths)}"})

    def suggestions(dice: random.Random) -> str:
        _, name = dice.choice(loaded.packages)
        return "/api/v1/suggest?" + urlencode({"q": name[: dice.randint(2, 4)]})

    return [
        Row("a layer and the images that contain it", LOOK_UP_GOAL, layer),
        Row("a package: its versions, the images of each", LOOK_UP_GOAL, package),
        Row("a package, versions in a range", LOOK_UP_GOAL, package_within),
        Row("files by path", LOOK_UP_GOAL, files),
        Row("suggestions while typing", LOOK_UP_GOAL, suggestions),
    ]


def measure(api: Api, rows: Sequence[Row], rounds: int) -> None:
    """Ask everything *rounds* times, in turns: nothing is asked twice in a row."""
    dice = random.Random(1)
    for row in rows:
        for _ in range(_WARMING):
            row.found = _found(json.loads(api.get(row.path(dice))[1]))
    for _ in range(rounds):
        for row in rows:
            row.samples.append(api.get(row.path(dice))[0])


def _found(answer: Any) -> int:
    if isinstance(answer, list):
        return len(answer)
    counted = answer.get("total", answer.get("image_count"))
    return len(answer["files"]) if counted is None else int(counted)


def table(rows: Sequence[Row]) -> str:
    """Write a table of *rows*, and of all of them together, in Markdown."""
    lines = ["| asked | found | p50 ms | p95 ms |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.name} | {row.found:,} | {row.at(0.5):.2f} | {row.at(0.95):.2f} |" for row in rows]
    every = [sample for row in rows for sample in row.samples]
    lines.append(f"| all together | | {percentile(every, 0.5):.2f} | {percentile(every, 0.95):.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 1 only with `--check` and a goal missed."""
    options = _options(arguments)
    options.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="search-", dir=options.directory))
    described = machine.describe(directory)
    try:
        loaded = asyncio.run(load(directory / "data", options.images))
        rate = loaded.images / loaded.seconds
        _say(
            f"{loaded.documents:,} documents, {loaded.images:,} of images: {loaded.seconds:.1f} s, {rate:,.0f} images/s"
        )
        asked, looked_up = questions(loaded), look_ups(loaded)
        with (
            servers.portolan(directory, 1) as (server, issuer),
            closing(Api(server.address, issuer.personal())) as api,
        ):
            measure(api, asked, options.rounds)
            measure(api, looked_up, options.rounds)
    finally:
        if options.keep:
            _say(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(table(asked), table(looked_up), sep="\n\n")
    missed = [row.name for row in (*asked, *looked_up) if row.at(0.95) > row.goal]
    if rate < INDEXING_GOAL:
        missed.append(f"indexing: {rate:,.0f} images/s")
    for name in missed:
        print(f"MISSED {name}")
    if options.json:
        figures = {row.name: {"found": row.found, "milliseconds": row.samples} for row in (*asked, *looked_up)}
        options.json.write_text(json.dumps({"machine": described, "images_a_second": rate, "rows": figures}))
    return 1 if options.check and missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=200, help="how often each question is asked")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where the data is kept")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--keep", action="store_true", help="keep the data and the log")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
