"""The registry: the OCI distribution protocol over HTTP, as one ASGI application.

It trusts the hub's signed tokens and knows no people: what a request may do stands in its token, and nowhere else.
"""

from catalog.registry.application import RegistryApplication
from catalog.registry.call import Limits, Registry

__all__ = ["Limits", "Registry", "RegistryApplication"]
