"""Pages for people: server-rendered, useful without JavaScript, under a strict content security policy.

It asks the catalog and the hub the same questions as the APIs do, and knows no tables and no bytes.
"""

from ui.pages import Pages

__all__ = ["Pages"]
