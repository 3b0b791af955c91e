"""The config of an image (OCI image specification, config.md; Docker image specification 1.3), read without trust.

Whoever pushed it wrote it, so any member may be of any kind and size. A member of the wrong kind is left out, one that
is too large is cut, and `ImageConfig.limits` says so in words: what one member says never costs the others, nor what
the layers hold. Members are found as Go finds them, which is how Docker, podman and containerd read configs: without
regard to case, the last one winning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from catalog.images.texts import LONGEST_TEXT, LONGEST_WORD, MOST_TEXT, Limits, clean, fitting, fitting_by_name

#: Bytes of a config that are read at most: as many as a manifest may have.
MOST_BYTES = 4 << 20
#: Of each kind of thing, this many are kept.
MOST_ITEMS = 1_000
MOST_HISTORY = 10_000
MOST_DIFF_IDS = 10_000

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


class HistoryEntry(msgspec.Struct, frozen=True):
    """A step of a build. *created* is in seconds since 1970, 0 where it is not told; *layer* is the index of the layer
    that it made, None where it made none, or none that the image has."""

    created: int
    created_by: str
    comment: str
    author: str
    empty_layer: bool
    layer: int | None


class ImageConfig(msgspec.Struct, frozen=True):
    """A config. *diff_ids* are the claims of whoever pushed it, as they stand; *env* holds ``NAME=value``.

    *created* is in seconds since 1970, 0 where it is not told. *history_whole*: the history tells of each layer, and
    nothing of it was left out. *limits* says what was left out, and why.
    """

    os: str = ""
    architecture: str = ""
    variant: str = ""
    created: int = 0
    author: str = ""
    user: str = ""
    env: list[str] = []
    entrypoint: list[str] = []
    command: list[str] = []
    working_dir: str = ""
    ports: list[str] = []
    volumes: list[str] = []
    stop_signal: str = ""
    labels: dict[str, str] = {}
    history: list[HistoryEntry] = []
    history_whole: bool = False
    diff_ids: list[str] = []
    limits: list[str] = []

    @property
    def platform(self) -> str:
        """``os/arch[/variant]``, empty where the config names none."""
        if not self.os or not self.architecture:
            return ""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def env_names(self) -> list[str]:
        """The names of the variables, each once, in their order."""
        return list(dict.fromkeys(name for name in (each.partition("=")[0] for each in self.env) if name))

    def declared_base(self, annotations: Mapping[str, str]) -> tuple[str, str]:
        """Return name and digest of the image that this one says it was built on: by its manifest's *annotations*, or
        else by its labels (OCI image specification, annotations.md, "Pre-Defined Annotation Keys"). Either may be
        empty; the digest may be an index's."""
        for said in (annotations, self.labels):
            name, digest = said.get(BASE_NAME, "").strip(), said.get(BASE_DIGEST, "").strip()
            if name or digest:
                return name[:LONGEST_WORD], digest[:LONGEST_WORD]
        return "", ""

    def created_by(self, layers: int) -> list[str]:
        """Return for each of the image's *layers* the instruction that made it, empty where the history has none."""
        made = [""] * layers
        for entry in self.history:
            if entry.layer is not None and entry.layer < layers:
                made[entry.layer] = entry.created_by
        return made


def read_config(content: bytes) -> ImageConfig:
    """Read a config. What cannot be read at all is an empty one that says so; nothing is raised."""
    if len(content) > MOST_BYTES:
        return ImageConfig(limits=[f"the config has {len(content)} bytes, of which at most {MOST_BYTES} are read"])
    try:
        whole = _decode_members(_utf8(content))
    except msgspec.ValidationError:
        return ImageConfig(limits=["the config is not a JSON object"])
    except msgspec.DecodeError as error:
        return ImageConfig(limits=[f"the config is not JSON: {error}"])
    except RecursionError:
        return ImageConfig(limits=["the config is nested too deeply"])
    return _Reader().config(_lowered(whole))


# Members are decoded one by one, as what they should be: what nobody asks for, or is of the wrong kind, is passed over
# without a single object being made of it.
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode

#: What is not quite what it should be is looked at piece by piece, if it is no larger than this.
_PIECEWISE = 256 << 10

_NULL = b"null"
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class _Reader:
    """Reads one config, and gathers what it leaves out."""

    def __init__(self) -> None:
        self._limits = Limits()

    def config(self, image: Mapping[str, bytes]) -> ImageConfig:
        run = _lowered(self._members(image.get("config"), "config"))
        rootfs = _lowered(self._members(image.get("rootfs"), "rootfs"))
        diff_ids = self._texts(rootfs.get("diff_ids"), "rootfs.diff_ids", MOST_DIFF_IDS, keep=True)
        history, whole = self._history(image.get("history"), len(diff_ids))
        return ImageConfig(
            os=self._word(image.get("os"), "os"),
            architecture=self._word(image.get("architecture"), "architecture"),
            variant=self._word(image.get("variant"), "variant"),
            created=self._time(image.get("created"), "created"),
            author=self._word(image.get("author"), "author"),
            user=self._word(run.get("user"), "config.User"),
            env=self._texts(run.get("env"), "config.Env"),
            entrypoint=self._command(run.get("entrypoint"), "config.Entrypoint"),
            command=self._command(run.get("cmd"), "config.Cmd"),
            working_dir=self._word(run.get("workingdir"), "config.WorkingDir"),
            ports=self._set(run.get("exposedports"), "config.ExposedPorts"),
            volumes=self._set(run.get("volumes"), "config.Volumes"),
            stop_signal=self._word(run.get("stopsignal"), "config.StopSignal"),
            labels=self._labels(run.get("labels")),
            history=history,
            history_whole=whole,
            diff_ids=diff_ids,
            limits=list(self._limits),
        )

    def _members(self, raw: bytes | None, where: str) -> dict[str, bytes]:
        if raw is None:
            return {}
        try:
            return _bytes_of(_decode_members(raw))
        except (msgspec.DecodeError, RecursionError):
            self._limits.append(f"{where} is not an object")
            return {}

    def _list(self, raw: bytes | None, where: str, most: int) -> list[bytes]:
        """Read a list, each of whose items may be anything."""
        if raw is None:
            return []
        try:
            listed = _decode_list(raw)
        except (msgspec.DecodeError, RecursionError):
            self._limits.append(f"{where} is not a list")
            return []
        if len(listed) > most:
            self._limits.append(f"{where}: {len(listed) - most} of {len(listed)} left out")
        return [bytes(each) for each in listed[:most]]

    def _word(self, raw: bytes | None, where: str) -> str:
        if raw is None:
            return ""
        text = _text(raw)
        if text is None:
            self._limits.append(f"{where} is not a text")
            return ""
        if len(text) > LONGEST_WORD:
            self._limits.append(f"{where} is cut to {LONGEST_WORD} of {len(text)} characters")
        return clean(text[:LONGEST_WORD])

    def _texts(self, raw: bytes | None, where: str, most: int = MOST_ITEMS, *, keep: bool = False) -> list[str]:
        """Read a list of texts; where positions count (*keep*), what is none stands as an empty one."""
        if raw is None:
            return []
        try:
            texts = _decode_texts(raw)
        except (msgspec.DecodeError, RecursionError):
            if len(raw) > _PIECEWISE:
                self._limits.append(f"{where} is not a list of texts")
                return []
            read = [_text(each) for each in self._list(raw, where, most)]
            texts = [("" if keep else None) if each is None else each for each in read]  # type: ignore[misc]
            if None in read:
                self._limits.append(f"{where}: {read.count(None)} of {len(read)} are not texts")
            texts = [each for each in texts if each is not None]
        if len(texts) > most:
            self._limits.append(f"{where}: {len(texts) - most} of {len(texts)} left out")
        return list(fitting(texts[:most], where, self._limits))

    def _command(self, raw: bytes | None, where: str) -> list[str]:
        """Read an argument list, which older Dockers wrote as one text too."""
        text = None if raw is None else _text(raw)
        return self._texts(raw, where) if text is None else list(fitting([text], where, self._limits))

    def _set(self, raw: bytes | None, where: str) -> list[str]:
        """Read what Go writes as an object with empty members, and some builders as a list."""
        if raw is None or not raw.lstrip().startswith(b"{"):
            return sorted(set(self._texts(raw, where)))
        names = list(self._members(raw, where))
        if len(names) > MOST_ITEMS:
            self._limits.append(f"{where}: {len(names) - MOST_ITEMS} of {len(names)} left out")
        return sorted(set(fitting(names[:MOST_ITEMS], where, self._limits)))

    def _labels(self, raw: bytes | None) -> dict[str, str]:
        where = "config.Labels"
        return fitting_by_name(self._members(raw, where), _text, where, self._limits)

    def _history(self, raw: bytes | None, layers: int) -> tuple[list[HistoryEntry], bool]:
        """Read the history, and tell whether that is the whole of it. Its entries that are not `empty_layer` made the
        layers, from the bottom up; where there are fewer or more of them than layers, as many have one as can."""
        entries: list[HistoryEntry] = []
        made = wrong = 0
        listed = self._list(raw, "history", MOST_HISTORY)
        room = MOST_TEXT
        for each in listed:
            try:
                entry = _lowered(_decode_members(each))
            except (msgspec.DecodeError, RecursionError):
                entry, wrong = {}, wrong + 1
            empty = entry.get("empty_layer", b"").strip() == b"true"
            created_by, comment, author = (
                clean((_text(entry.get(name, _NULL)) or "")[:LONGEST_TEXT])
                for name in ("created_by", "comment", "author")
            )
            room -= len(created_by) + len(comment) + len(author)
            if room < 0:
                self._limits.append(f"history: texts after the first {MOST_TEXT} characters left out")
                break
            layer = None if empty or made >= layers else made
            made += not empty
            entries.append(
                HistoryEntry(self._time(entry.get("created"), ""), created_by, comment, author, empty, layer)
            )
        if wrong:
            self._limits.append(f"history: {wrong} of {len(listed)} are not objects")
        if listed and made != layers and len(entries) == len(listed):
            self._limits.append(f"history: it tells of {made} layers, the image has {layers}")
        cut = len(entries) < len(listed) or any(len(each.created_by) == LONGEST_TEXT for each in entries)
        return entries, 0 < made == layers and not wrong and not cut

    def _time(self, raw: bytes | None, where: str) -> int:
        """Read a time of RFC 3339. Go's zero time, in the year 1, means that none is told."""
        text = None if raw is None else _text(raw)
        if text is not None and len(text) <= LONGEST_WORD:
            try:
                read = datetime.fromisoformat(text.upper())
                return max(0, int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()))
            except (ValueError, OverflowError):
                pass
        if raw is not None and where:
            self._limits.append(f"{where} is not a time")
        return 0


def _utf8(content: bytes) -> bytes:
    """Replace bytes that are no UTF-8, and halves of surrogate pairs, as Go does where it reads configs."""
    try:
        content.decode()
    except UnicodeDecodeError:
        content = content.decode("utf-8", "replace").encode()
    if b"\\ud" in content.lower():
        return _ESCAPES.sub(lambda found: b"\\ufffd" if found[1] else found[0], content)
    return content


def _lowered(members: Mapping[str, bytes | msgspec.Raw]) -> dict[str, bytes]:
    """Name members in lower case; what is null is not there."""
    named = ((name.lower(), bytes(value)) for name, value in members.items())
    return {name: value for name, value in named if value != _NULL}


def _bytes_of(members: Mapping[str, msgspec.Raw]) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in members.items()}


def _text(raw: bytes) -> str | None:
    try:
        return _decode_text(raw)
    except msgspec.DecodeError:
        return None
