"""What the hub knows of images: repositories, manifests, tags, and the registry's protocol over them.

It must not know how the program is started or configured, nor of pages. `content` is the one door for bytes, `metadata`
holds the rows, `registry` speaks the protocol, `api` is the JSON API.
"""
