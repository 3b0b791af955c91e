"""The history of the database's tables: one linear line of revisions in `versions/`."""
