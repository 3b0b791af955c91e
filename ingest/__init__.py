"""Work that no request waits for: what is due again and again, and the reading of what is pushed.

It knows the catalog and the content store, and nothing of people or of HTTP. What is to be done, and under which lock,
it is told by whoever starts it.

Nothing is imported here: processes that read layers are of this package, and start in a third of the time without what
the process above them needs.
"""

__all__: list[str] = []
