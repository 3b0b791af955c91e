"""The fields of documents: their names, what they hold, and for which kind of document.

A keyword is compared whole; a text is a list of words, scored; a number is whole, at least 0, sortable. `id` names a
document; every document has a `kind` (`repository`, `image`, `layer`, `package`).
"""

from __future__ import annotations

from enum import Enum


class Type(Enum):
    """How a field is indexed."""

    KEYWORD = "keyword"
    TEXT = "text"
    NUMBER = "number"


K, T, N = Type.KEYWORD, Type.TEXT, Type.NUMBER

FIELDS: dict[str, Type] = {
    # of every document
    "id": K,  # repository:ID · image:ID:DIGEST · layer:DIFF_ID · package:ECOSYSTEM/NAME
    "kind": K,
    # what is searched for by name: repositories, images (their repository's), packages
    "name": K,  # lower case, whole; `library/nginx` has `nginx` beside it
    "last": K,  # its last segment
    "words": T,  # split at / _ - . and where letters meet digits or capitals, and unsplit segments
    "grams": K,  # beginnings, 2 to 20 characters, of the name and of each segment
    "text": T,  # descriptions; of images: labels' values, history, entrypoint
    # of repositories and of images: whose they are
    "repository_id": K,
    "repository": K,  # NAMESPACE/NAME, as it is stored
    "namespace": K,
    "public": K,  # yes · no
    "is": K,  # official · deprecated · latest
    "platform": K,  # linux/amd64 · linux/arm64/v8
    "os": K,
    "arch": K,
    "pushed": N,  # seconds since 1970, as all times are
    "pulled": N,
    "pulls": N,  # in 30 days
    # of images
    "tag": K,
    "digest": K,  # the manifest's, and those of the indexes that hold it
    "layer": K,  # digest of the blob, and the verified diff_id
    "top": K,  # chain_id of its whole stack; the name of its whole history
    "chain": K,  # `top` of whatever it is built on: chain_ids of the stacks below, names of its history before its end
    "package": K,  # deb/openssl · npm/@babel/core
    "package_version": K,  # deb/openssl@3.0.11-1 · npm/@babel/core@7.1.0
    "removed": K,  # the same for packages that only lower layers still hold
    "removed_version": K,
    "source": K,  # and for source packages: deb/glibc
    "source_version": K,
    "license": K,  # SPDX ids, lower case
    "label": K,  # team=payments
    "label_key": K,
    "annotation": K,
    "annotation_key": K,
    "env": K,  # names of variables, never values
    "base": K,  # what annotations or labels say: name and digest
    "distro": K,  # debian · debian:12
    "user": K,
    "port": K,  # 8080/tcp · 8080
    "command": T,  # words of entrypoint and cmd
    "artifact": K,  # artifact_type, for what is no image
    "hidden": K,  # `file_token` of each file that does not stand where its layer has it
    "moved": K,  # of these, those that stand, or stood, elsewhere
    "placed": K,  # `placed_token` of these, and of hard links to lower layers, behind s (stands there) or g (is gone)
    "placed_path": K,  # where they stand, behind the same letters; its last part; and the `file_token` of what they are
    "placed_name": K,
    "placed_source": K,
    "size": N,  # compressed bytes, of all layers and the config; of a layer's document: the bytes of its tar
    "layers": N,
    "created": N,
    # of layers and packages: candidates only
    "images": N,  # how many image documents hold it
}

#: Keywords that facets count. The others have about as many values as documents (versions: more).
COUNTED = frozenset(
    {
        *("kind", "repository_id", "repository", "namespace", "public", "is", "platform", "os", "arch", "tag"),
        *("package", "license", "label", "label_key", "annotation_key", "env", "base", "distro", "user", "port"),
        *("artifact", "layer", "removed"),
    }
)

#: Fields that `Near` may ask for: what people type by heart.
TYPED = frozenset({"name", "last", "words"})
