"""What people and their programs find out: search, images, layers, packages, files, differences.

Pages and the JSON API call the same functions, and the first thing that each of these does is to ask what the caller
may read. Forbidden and absent are the same error.
"""

from catalog.browse.protocol import Browse

__all__ = ["Browse"]
