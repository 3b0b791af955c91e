"""The twenty searches of the search benchmark, written down before the engine was: none was chosen for it.

The corpus is `benchmarks.search_corpus`: repositories of teams, images with some 300 packages each, a few bases. Names
in braces are filled in from it, so that each question has an answer.
"""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """What somebody wants to know, and the query that asks it."""

    wish: str
    query: str


QUESTIONS = (
    Question("a repository by its name", "{repository}"),
    Question("repositories about a subject", "payment gateway"),
    Question("a name with a typing error", "postgers"),
    Question("the beginning of a name", "{prefix}"),
    Question("images with a package", "package:openssl"),
    Question("images with one version of a package", "package:{package}@{version}"),
    Question("images with a package below a version", "package:openssl<3.0.7"),
    Question("images with two packages", "package:openssl package:{package}"),
    Question("images without a package", "type:image -package:openssl distro:debian"),
    Question("images that contain a layer", "layer:{diff_id}"),
    Question("images that are built on a base", "base:{base}"),
    Question("images with a label", "label:team=payments"),
    Question("images with a label and a package of a base", "label:team=payments package:openssl base:{base}"),
    Question("images that hold a file", "file:{file}"),
    Question("images that hold a file below a path", "path:/usr/lib/{directory}/*"),
    Question("large images of a platform", "arch:arm64 size:>500MB"),
    Question("images pushed lately, the newest first", "pushed:>-30d sort:pushed"),
    Question("images of a distribution in an organisation", "distro:debian:12 org:{namespace}"),
    Question("packages by name", "type:package ssl"),
    Question("either of two things", "(label:team=payments OR label:team=search) package:{package}"),
)
