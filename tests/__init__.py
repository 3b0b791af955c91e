"""Everything that tests Portolan; the folders mirror the packages, and `services` starts the real servers beside it."""
