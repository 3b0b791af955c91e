"""Work that no request waits for: what is due again and again, and the reading of what is pushed.

It knows the catalog and the content store, and nothing of people or of HTTP. What is to be done, and under which lock,
it is told by whoever starts it.
"""

from ingest.periodic import Chore, run_chores

__all__ = ["Chore", "run_chores"]
