"""Search: the documents, how text is analysed, the query language, and the engines that answer.

Access is part of every query (`catalog.search.access`): an engine never sees a query that is not narrowed to what the
caller may read.
"""
