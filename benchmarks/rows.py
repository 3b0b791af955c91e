"""What the registry benchmark measures, and what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass

#: Repositories of the benchmark: what reads read, what holds the long list of tags, and where pushes go.
SEEDED = "library/bench"
TAGGED = "library/tags"
PUSHED = "library/pushed"

#: The goals hold for this many clients and web processes; other combinations are reported.
GOAL_CLIENTS = 16
GOAL_WEB_PROCESSES = 1

#: The goals are about blobs of this size, in bytes.
LARGE = 256 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: a name that the load generator knows, and how it is shown and judged.

    *goal* is the least ratio of Portolan's rate to distribution's. A *large* row moves 256 MiB an operation, and its
    rate is in bytes a second.
    """

    name: str
    title: str
    repository: str = SEEDED
    goal: float = 1.5
    large: bool = False

    @property
    def actions(self) -> str:
        """What the row's tokens allow: only as much as a client would ask for."""
        return "pull,push" if self.repository == PUSHED else "pull"


ROWS = (
    Row("manifest-get", "manifest GET by tag"),
    Row("manifest-head-tag", "manifest HEAD by tag"),
    Row("manifest-head-digest", "manifest HEAD by digest"),
    Row("blob-head", "blob HEAD"),
    Row("blob-get-small", "blob GET of 4 KiB"),
    Row("blob-get-large", "blob GET of 256 MiB", goal=1.0, large=True),
    Row("push-large", "push of 256 MiB, monolithic", repository=PUSHED, goal=1.0, large=True),
    Row("push-large-chunked", "push of 256 MiB, chunked", repository=PUSHED, goal=1.0, large=True),
    Row("image-push", "push of a three-layer image", repository=PUSHED),
    Row("image-pull", "pull of a three-layer image"),
    Row("tags-list", "tags/list of 1,000 tags", repository=TAGGED),
)

#: What fills a server before it is measured: the generator's name for it, the repository, the only row that needs it.
PREPARATIONS = (
    ("seed-images", SEEDED, None),
    ("seed-large", SEEDED, "blob-get-large"),
    ("seed-tags", TAGGED, "tags-list"),
)
