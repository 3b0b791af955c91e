"""Content by digest."""
