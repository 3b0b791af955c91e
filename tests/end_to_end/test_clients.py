"""Every client, with every verb that it has.

The table says which words a client has for a verb; where it has none, there is a dash. A test is written once for a
verb and runs for each client that has words for it; that it ran that very command is checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.clients import CLIENTS, Client, ClientFailed
from tests.end_to_end.conftest import logged
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Blob, Content, Maker, everything
from tests.end_to_end.layouts import read_layout
from tests.end_to_end.matrix import Matrix, arrived, same
from tests.services import Portolan
from tests.services.portolan import Person
from tests.services.processes import wait_until

#: Seconds within which search finds what was pushed, on a machine that does many things.
SEARCHED = 30

# Two spaces or more stand between columns.
TABLE = """
verb                         skopeo            podman              buildah             crane         oras                   regctl
log in                       login             login               login               auth login    login                  registry login
log out                      logout            logout              logout              auth logout   logout                 registry logout
be refused a wrong password  login             login               login               -             login                  registry login
be refused what is private   copy              pull                pull                pull          cp                     image copy
pull what is public          copy              pull                pull                pull          cp                     image copy
push an image                copy              push --format=oci   push --format=oci   push          cp                     image copy
push Docker's form           copy              push --format=v2s2  push --format=v2s2  push          cp                     image copy
push zstd layers             copy              -                   -                   push          cp                     image copy
push an index                copy --all        -                   -                   push          cp                     image copy
push Docker's list           copy --all        -                   -                   push          cp                     image copy
push an artifact             -                 -                   -                   push          cp                     image copy
pull an image                copy              pull                pull                pull          cp                     image copy
pull by digest               copy              pull                pull                pull          cp                     image copy
pull Docker's form           copy              pull                pull                pull          cp                     image copy
pull zstd layers             copy              pull                pull                pull          cp                     image copy
pull an index                copy --all        -                   -                   pull          cp                     image copy
pull Docker's list           copy --all        -                   -                   pull          cp                     image copy
pull an artifact             -                 -                   -                   pull          cp                     image copy
pull one platform            copy              pull --platform     pull --platform     pull          cp                     image copy
pull all tags                -                 pull --all-tags     pull --all-tags     -             -                      -
list tags                    list-tags         search --list-tags  -                   ls            repo tags              tag ls
list repositories            -                 -                   -                   catalog       repo ls                repo ls
search                       -                 search              -                   -             -                      -
read a manifest              inspect --raw     -                   -                   manifest      manifest fetch         manifest get
read a list                  -                 manifest inspect    manifest inspect    -             -                      -
read a config                inspect --config  image inspect       inspect             config        manifest fetch-config  image inspect
resolve a tag                inspect           -                   -                   digest        resolve                image digest
read a blob                  -                 -                   -                   blob          blob fetch             blob get
push a blob                  -                 -                   -                   -             blob push              blob put
push a blob by SHA-512       -                 -                   -                   -             blob push              blob put
delete a blob                -                 -                   -                   -             blob delete            blob delete
push a manifest              -                 -                   -                   -             manifest push          manifest put
tag                          copy              push                push                tag           tag                    image copy
copy to another repository   copy              push                push                copy          cp                     image copy
copy by digest               copy              -                   -                   copy          cp                     image copy
copy an index                copy --all        -                   -                   copy          cp                     image copy
copy with referrers          -                 -                   -                   -             cp --recursive         image copy --referrers
copy a repository            sync              -                   -                   copy          -                      repo copy
delete by digest             delete            -                   -                   delete        manifest delete        manifest delete
delete a tag                 -                 -                   -                   delete        -                      tag delete
attach an artifact           -                 -                   -                   -             attach                 artifact put
list referrers               -                 -                   -                   -             discover               artifact list
draw the referrers           -                 -                   -                   -             -                      artifact tree
push files                   -                 -                   -                   -             push                   artifact put
pull files                   -                 -                   -                   -             pull                   artifact get
make an index                -                 manifest push       manifest push       index append  manifest index create  index create
narrow an index              -                 -                   -                   index filter  manifest index update  index delete
change a label               -                 -                   -                   mutate        -                      image mod
add a layer                  -                 -                   -                   append        -                      image mod
make anew with SHA-512       -                 -                   -                   -             -                      image mod
build on an image            -                 build               commit              -             -                      -
check an image               -                 -                   -                   validate      -                      -
read an image's files        -                 -                   -                   export        -                      -
back up                      -                 -                   -                   -             backup                 image export
restore                      -                 -                   -                   -             restore                image import
"""  # noqa: E501


MATRIX = Matrix(TABLE)
each_that_can = MATRIX.each_that_can

#: What is pushed and pulled, by the verb.
KINDS: dict[str, Callable[[Maker], Content]] = {
    f"{verb} {what}": make
    for verb in ("push", "pull")
    for what, make in {
        "an image": lambda maker: maker.image(),
        "Docker's form": lambda maker: maker.image(docker=True),
        "zstd layers": lambda maker: maker.image(compression=["zstd", "gzip", "none"]),
        "an index": lambda maker: maker.multi_platform(),
        "Docker's list": lambda maker: maker.multi_platform(docker=True),
    }.items()
}


@pytest.fixture(scope="module")
def bob(portolan: Portolan) -> Person:
    """Somebody whose password is guessed at, which soon keeps him out as well."""
    return portolan.add_person("bob")


@pytest.fixture(scope="module")
def signed_in(portolan: Portolan, alice: Person, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A function that gives a client by its name, signed in as alice: one of each for the whole file."""
    known: dict[str, Client] = {}

    def find(name: str) -> Client:
        if name not in known:
            client = CLIENTS[name](tmp_path_factory.mktemp(name) / "client", portolan.address)
            client.log_in(alice)
            known[name] = client
        return known[name]

    return find


@pytest.fixture
def client(request: pytest.FixtureRequest, signed_in: Callable[[str], Any]) -> Iterator[Any]:
    """The client that a row of the table names, signed in."""
    _, name, words = request.param
    found = signed_in(name)
    before = len(found.commands)
    yield found
    assert found.ran(words, since=before), f"none of these was `{name} {words}`: {found.commands[before:]}"


@pytest.fixture
def verb(request: pytest.FixtureRequest) -> str:
    """The row's verb, for a test of several."""
    return str(request.node.callspec.params["client"][0])


@pytest.fixture
def stranger(client: Any, portolan: Portolan, tmp_path: Path) -> Any:
    """The same client, signed in as nobody."""
    other = CLIENTS[client.program](tmp_path / "stranger", portolan.address)
    other.commands = client.commands  # what it runs counts for the row
    return other


def test_every_row_of_the_table_has_its_test() -> None:
    assert set(MATRIX.rows) == MATRIX.tested
    assert {name for row in MATRIX.rows.values() for name in row} == set(CLIENTS)


# --- signing in ------------------------------------------------------------------------------------------------------


@each_that_can("log in")
def test_a_password_opens_what_is_private(
    client: Any, stranger: Any, alice: Person, direct: Direct, repository: str, maker: Maker
) -> None:
    image = direct.push(repository, maker.image(), "v1")
    stranger.log_in(alice)
    assert same(stranger, stranger.pull(f"{repository}:v1"), image)


@each_that_can("log out")
def test_after_logging_out_nothing_private_is_open(
    client: Any, stranger: Any, alice: Person, direct: Direct, repository: str, maker: Maker
) -> None:
    direct.push(repository, maker.image(), "v1")
    stranger.log_in(alice)
    stranger.log_out()
    with pytest.raises(ClientFailed):
        stranger.pull(f"{repository}:v1")


@each_that_can("be refused a wrong password")
def test_a_wrong_password_is_refused(client: Any, stranger: Any, bob: Person) -> None:
    with pytest.raises(ClientFailed, match=r"(?i)unauthorized|invalid username/password|credentials"):
        stranger.log_in(Person(bob.name, "another horse"))


@each_that_can("be refused what is private")
def test_nobody_pulls_what_is_private(
    client: Any, stranger: Any, direct: Direct, repository: str, maker: Maker
) -> None:
    direct.push(repository, maker.image(), "v1")
    with pytest.raises(ClientFailed, match=r"(?i)unauthorized|authentication required"):
        stranger.pull(f"{repository}:v1")


@each_that_can("pull what is public")
def test_everybody_pulls_what_is_public(
    client: Any, stranger: Any, direct: Direct, repository: str, maker: Maker
) -> None:
    image = direct.push(repository, maker.image(), "v1")
    direct.publish(repository)
    assert same(stranger, stranger.pull(f"{repository}:v1"), image)


# --- pushing and pulling ---------------------------------------------------------------------------------------------


@each_that_can("push an image", "push Docker's form", "push zstd layers", "push an index", "push Docker's list")
def test_what_is_pushed_is_kept(client: Any, verb: str, direct: Direct, repository: str, maker: Maker) -> None:
    content = KINDS[verb](maker)
    client.push(content, f"{repository}:v1")
    assert arrived(client, direct, f"{repository}:v1", content)
    assert direct.manifest(repository, "v1").headers["content-type"] == content.manifest.media_type


@each_that_can("push an artifact")
def test_an_artifact_with_a_subject_is_pushed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(), "v1")
    artifact = maker.artifact(subject=image)
    client.push(artifact, f"{repository}:sbom")
    assert arrived(client, direct, f"{repository}:sbom", artifact)
    assert [found["digest"] for found in direct.referrers(repository, image.digest)] == [artifact.digest]
    assert "sha256-" not in " ".join(direct.tags(repository)), "the registry lists referrers: no tag stands in for it"


@each_that_can("pull an image", "pull Docker's form", "pull zstd layers", "pull an index", "pull Docker's list")
def test_what_is_pulled_is_what_was_pushed(
    client: Any, verb: str, direct: Direct, repository: str, maker: Maker
) -> None:
    content = direct.push(repository, KINDS[verb](maker), "v1")
    assert same(client, client.pull(f"{repository}:v1"), content)


@each_that_can("pull an artifact")
def test_an_artifact_is_pulled(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    artifact = direct.push(repository, maker.artifact(), "v1")
    assert same(client, client.pull(f"{repository}:v1"), artifact)


@each_that_can("pull by digest")
def test_an_image_is_pulled_by_its_digest(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image())
    assert same(client, client.pull(f"{repository}@{image.digest}"), image)


@each_that_can("pull one platform")
def test_one_platform_of_an_index_is_pulled(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    index = direct.push(repository, maker.multi_platform(), "v1")
    wanted = index.children[1]
    pulled = client.pull_platform(f"{repository}:v1", "linux/arm64/v8")
    if client.compresses:
        assert same(client, pulled, wanted)
    else:
        # An OCI layout may keep the index beside it; what else it holds is that image's alone.
        assert {digest: content for digest, content in pulled.items() if digest != index.digest} == everything(wanted)


@each_that_can("pull all tags")
def test_all_tags_are_pulled(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    for tag in ("v1", "v2", "v3"):
        direct.push(repository, maker.image(1), tag)
    client.pull_all_tags(repository)
    assert client.local_tags(repository) == {"v1", "v2", "v3"}


# --- reading ---------------------------------------------------------------------------------------------------------


@each_that_can("list tags")
def test_tags_are_listed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    tags = ["V0", "latest", "v1", "v1.1"]
    direct.push(repository, maker.image(1), *reversed(tags))
    assert client.tags(repository) == tags


@each_that_can("list repositories")
def test_repositories_are_listed(client: Any, stranger: Any, direct: Direct, repository: str, maker: Maker) -> None:
    direct.push(repository, maker.image(1), "v1")
    assert repository in client.repositories()
    assert repository not in stranger.repositories()


@each_that_can("search")
def test_repositories_are_found(client: Any, stranger: Any, direct: Direct, repository: str, maker: Maker) -> None:
    """podman asks the old protocol without credentials first, and where that fails the catalog with them."""
    direct.push(repository, maker.image(1), "v1")
    text = repository.partition("/")[2]
    wait_until(lambda: client.search(text) == [repository], SEARCHED, "its owner to find the repository")

    direct.publish(repository)
    wait_until(lambda: stranger.search(text) == [repository], SEARCHED, "somebody else to find the repository")


@each_that_can("read a manifest")
def test_a_manifest_is_read_byte_for_byte(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    index = direct.push(repository, maker.multi_platform(), "v1")
    # Some end it with a newline, for the terminal.
    assert client.manifest(f"{repository}:v1").rstrip(b"\n") == index.manifest.content


@each_that_can("read a list")
def test_a_list_is_read(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    index = direct.push(repository, maker.multi_platform(), "v1")
    listed = json.loads(client.manifest(f"{repository}:v1"))["manifests"]
    assert [entry["digest"] for entry in listed] == [child.digest for child in index.children]


@each_that_can("read a config")
def test_a_config_is_read(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(), "v1")
    config = json.loads(client.config(f"{repository}:v1"))
    assert config["author"] == image.config.json()["author"]
    assert config["rootfs"]["diff_ids"] == list(image.diff_ids)


@each_that_can("resolve a tag")
def test_a_tag_is_resolved(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(), "v1")
    assert client.digest(f"{repository}:v1") == image.digest


# --- blobs and manifests ---------------------------------------------------------------------------------------------


@each_that_can("read a blob")
def test_a_blob_is_read(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(1, layer_size=200_000))
    layer = image.layers[0].blob
    assert client.blob(repository, layer.digest) == layer.content


@each_that_can("push a blob")
def test_a_blob_is_pushed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    content = maker.random_bytes(200_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    client.push_blob(repository, content, digest)
    assert direct.blob(repository, digest).content == content


@each_that_can("push a blob by SHA-512")
def test_a_blob_is_pushed_under_its_other_digest(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    content = maker.random_bytes(200_000)
    digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
    client.push_blob(repository, content, digest)
    assert direct.blob(repository, digest).content == content


@each_that_can("delete a blob")
def test_a_blob_is_deleted(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    layer = maker.layer().blob
    direct.push_blob(repository, layer.content, layer.digest)
    client.delete_blob(repository, layer.digest)
    assert direct.blob(repository, layer.digest).status_code == 404


@each_that_can("push a manifest")
def test_a_manifest_is_pushed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image())
    index = maker.index([image], annotations={"made": "again"})
    client.push_manifest(f"{repository}:v2", index.manifest)
    assert arrived(client, direct, f"{repository}:v2", index)


# --- copying and naming ----------------------------------------------------------------------------------------------


@each_that_can("tag")
def test_an_image_gets_another_tag(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(), "v1")
    client.tag(f"{repository}:v1", "v2")
    assert arrived(client, direct, f"{repository}:v2", image)
    assert direct.digest(repository, "v1") == image.digest


@each_that_can("copy to another repository")
def test_an_image_is_copied_and_its_blobs_are_mounted(
    client: Any, direct: Direct, repository: str, maker: Maker, portolan: Portolan
) -> None:
    """No byte of a layer goes over the network when the registry has it in a repository that one may pull."""
    image, target = maker.image(), f"{repository}-copy"
    client.push(image, f"{repository}:v1")
    client.copy(f"{repository}:v1", f"{target}:v1")
    assert arrived(client, direct, f"{target}:v1", image)

    written = [
        (line["method"], line["status"])
        for line in logged(portolan)
        if str(line.get("path")).startswith(f"/v2/{target}/blobs/uploads/")
    ]
    assert written.count(("PUT", 201)) <= 1, f"a config is sent by some, which remember layers alone: {written}"
    assert written.count(("POST", 201)) >= len(image.layers), written


@each_that_can("copy by digest")
def test_an_image_is_copied_by_its_digest(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image, target = direct.push(repository, maker.image()), f"{repository}-copy"
    client.copy(f"{repository}@{image.digest}", f"{target}:v1")
    assert arrived(client, direct, f"{target}:v1", image)


@each_that_can("copy an index")
def test_an_index_is_copied_whole(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    index, target = direct.push(repository, maker.multi_platform(), "v1"), f"{repository}-copy"
    client.copy(f"{repository}:v1", f"{target}:v1")
    assert arrived(client, direct, f"{target}:v1", index)


@each_that_can("copy with referrers")
def test_an_image_is_copied_with_its_referrers(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image, target = direct.push(repository, maker.image(), "v1"), f"{repository}-copy"
    artifact = direct.push(repository, maker.artifact(subject=image))
    client.copy_with_referrers(f"{repository}:v1", f"{target}:v1")
    assert arrived(client, direct, f"{target}:v1", image)
    assert [found["digest"] for found in direct.referrers(target, image.digest)] == [artifact.digest]


@each_that_can("copy a repository")
def test_a_repository_is_copied(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    target = f"{repository}-copy"
    contents = {"v1": maker.image(1), "v2": maker.image(1, docker=True), "v3": maker.multi_platform(["linux/amd64"])}
    for tag, content in contents.items():
        direct.push(repository, content, tag)
    client.copy_repository(repository, target)
    assert all(arrived(client, direct, f"{target}:{tag}", content) for tag, content in contents.items())


# --- deleting --------------------------------------------------------------------------------------------------------


@each_that_can("delete by digest")
def test_a_manifest_is_deleted_with_its_tags(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(1), "v1", "latest")
    direct.push(repository, maker.image(1), "v2")
    client.delete(f"{repository}@{image.digest}")
    assert direct.tags(repository) == ["v2"]
    assert direct.digest(repository, image.digest) is None


@each_that_can("delete a tag")
def test_a_tag_is_deleted_alone(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(1), "v1", "latest")
    client.delete_tag(f"{repository}:latest")
    assert direct.tags(repository) == ["v1"]
    assert direct.digest(repository, "v1") == image.digest


# --- artifacts -------------------------------------------------------------------------------------------------------


@each_that_can("attach an artifact")
def test_an_artifact_is_attached(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image, content = direct.push(repository, maker.image(1), "v1"), maker.random_bytes(1000)
    client.attach(f"{repository}:v1", "application/vnd.example.report", content)
    [found] = direct.referrers(repository, image.digest)
    assert found["artifactType"] == "application/vnd.example.report"
    assert content in direct.everything(repository, found["digest"]).values()
    assert direct.tags(repository) == ["v1"], "the registry lists referrers: no tag stands in for it"


@each_that_can("list referrers")
def test_referrers_are_listed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(1), "v1")
    assert client.referrers(f"{repository}:v1") == []
    artifacts = [direct.push(repository, maker.artifact(subject=image)) for _ in range(2)]
    assert sorted(client.referrers(f"{repository}:v1")) == sorted(artifact.digest for artifact in artifacts)


@each_that_can("draw the referrers")
def test_the_tree_of_referrers_is_drawn(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(1), "v1")
    artifact = direct.push(repository, maker.artifact(subject=image))
    signature = direct.push(repository, maker.artifact(subject=artifact))
    tree = client.referrer_tree(f"{repository}:v1")
    assert artifact.digest in tree
    assert signature.digest in tree


@each_that_can("push files")
def test_files_are_pushed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    files = {"first": maker.random_bytes(1000), "second": maker.random_bytes(100_000)}
    client.push_files(f"{repository}:v1", files)
    assert set(files.values()) <= set(direct.everything(repository, "v1").values())
    assert direct.json(repository, "v1")["artifactType"] == "application/vnd.example"


@each_that_can("pull files")
def test_files_are_pulled(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    contents = {"first": maker.random_bytes(1000), "second": maker.random_bytes(100_000)}
    title = "org.opencontainers.image.title"
    files = [Blob("application/octet-stream", content, {title: name}) for name, content in contents.items()]
    direct.push(repository, maker.artifact(files=files), "v1")
    assert client.pull_files(f"{repository}:v1") == contents


# --- changing what is there ------------------------------------------------------------------------------------------


@each_that_can("make an index")
def test_an_index_is_made_of_images(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    platforms = {"amd64": "linux/amd64", "arm64": "linux/arm64/v8"}
    images = {tag: maker.image(1, platform=platform) for tag, platform in platforms.items()}
    for tag, image in images.items():
        direct.push(repository, image, tag)
    client.make_index(f"{repository}:all", [f"{repository}:{tag}" for tag in images])
    listed = direct.json(repository, "all")["manifests"]
    assert {entry["digest"] for entry in listed} == {image.digest for image in images.values()}
    assert {entry["platform"]["architecture"] for entry in listed} == {"amd64", "arm64"}
    direct.everything(repository, "all")


@each_that_can("narrow an index")
def test_an_index_is_narrowed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    index = direct.push(repository, maker.multi_platform(["linux/amd64", "linux/s390x"]), "all")
    client.narrow_index(f"{repository}:all", f"{repository}:few", "linux/s390x")
    assert [entry["digest"] for entry in direct.json(repository, "few")["manifests"]] == [index.children[1].digest]
    assert direct.digest(repository, "all") == index.digest


@each_that_can("change a label")
def test_a_label_is_changed(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(), "v1")
    client.change_label(f"{repository}:v1", f"{repository}:v2", "differently")
    config = direct.config(repository, "v2")
    assert config["config"]["Labels"] == {"made": "differently"}
    assert config["rootfs"]["diff_ids"] == list(image.diff_ids)
    assert direct.digest(repository, "v1") == image.digest


@each_that_can("add a layer")
def test_a_layer_is_added(client: Any, direct: Direct, repository: str, maker: Maker, tmp_path: Path) -> None:
    image = direct.push(repository, maker.image(), "v1")
    added = maker.layer(compression="none")
    (tmp_path / "layer.tar").write_bytes(added.blob.content)
    client.add_layer(f"{repository}:v1", f"{repository}:v2", tmp_path / "layer.tar")
    assert direct.config(repository, "v2")["rootfs"]["diff_ids"] == [*image.diff_ids, added.diff_id]
    direct.everything(repository, "v2")


@each_that_can("make anew with SHA-512")
def test_an_image_is_named_by_sha512_throughout(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    direct.push(repository, maker.image(), "v1")
    client.rename_digests(f"{repository}:v1", f"{repository}:v2")
    found = direct.json(repository, "v2")
    assert all(layer["digest"].startswith("sha512:") for layer in [found["config"], *found["layers"]])
    direct.everything(repository, "v2")


@each_that_can("build on an image")
def test_an_image_is_built_on_another(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    base = direct.push(repository, maker.image(), "base")
    client.build_on(f"{repository}:base", f"{repository}:built", "here")
    config = direct.config(repository, "built")
    assert config["config"]["Labels"]["made"] == "here"
    assert config["rootfs"]["diff_ids"][: len(base.diff_ids)] == list(base.diff_ids)
    assert len(config["rootfs"]["diff_ids"]) > len(base.diff_ids)


# --- looking inside, and taking away ---------------------------------------------------------------------------------


@each_that_can("check an image")
def test_an_image_stands_the_test(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    direct.push(repository, maker.multi_platform(), "v1")
    client.check(f"{repository}:v1")


@each_that_can("read an image's files")
def test_the_files_of_an_image_are_read(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    layers = [maker.layer({"etc/first": b"1"}), maker.layer({"etc/second": b"2"})]
    direct.push(repository, maker.image(layers), "v1")
    with tarfile.open(fileobj=io.BytesIO(client.files_of(f"{repository}:v1"))) as tar:
        assert {"etc/first", "etc/second"} <= set(tar.getnames())


@each_that_can("back up")
def test_an_image_is_taken_away(client: Any, direct: Direct, repository: str, maker: Maker, tmp_path: Path) -> None:
    index = direct.push(repository, maker.multi_platform(), "v1")
    backup = client.back_up(f"{repository}:v1")
    if not backup.is_dir():
        with tarfile.open(backup) as tar:
            backup = tmp_path / "unpacked"
            tar.extractall(backup, filter="data")
    assert read_layout(backup).items() >= everything(index).items()


@each_that_can("restore")
def test_an_image_is_brought_back(client: Any, direct: Direct, repository: str, maker: Maker) -> None:
    index = direct.push(repository, maker.multi_platform(), "v1")
    backup = client.back_up(f"{repository}:v1")
    client.restore(backup, f"{repository}-again:v1")
    assert arrived(client, direct, f"{repository}-again:v1", index)
