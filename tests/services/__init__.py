"""Real programs for tests: finding them, starting servers, stopping them again.

The scripts beside this file start one server each and stand alone; the Python here runs them. What tests use comes to
them as fixtures (`tests/conftest.py`). Nothing here knows how Portolan works inside: it is started as people start it.
"""

from tests.services.distribution import Distribution
from tests.services.portolan import Portolan
from tests.services.postgresql import PostgreSQL
from tests.services.processes import free_port, wait_until
from tests.services.programs import find, require

__all__ = ["Distribution", "Portolan", "PostgreSQL", "find", "free_port", "require", "wait_until"]
