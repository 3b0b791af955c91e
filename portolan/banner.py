"""What is printed for a person when the service is ready: the address, how to sign in, how to push a first image."""

from __future__ import annotations

import shutil
from urllib.parse import urlsplit

from portolan.settings import Settings


def first_push(address: str, namespace: str = "", client: str | None = None) -> list[str]:
    """Return the three commands that push a first image to the service at *address* (``http://host:port``).

    They are for docker, podman or skopeo, whichever this machine has, unless *client* names one.
    """
    host = urlsplit(address).netloc
    plain = address.startswith("http://")
    image = f"{host}/{namespace}/alpine" if namespace else f"{host}/alpine"
    client = client or next((each for each in ("docker", "podman", "skopeo") if shutil.which(each)), "podman")
    if client == "docker":  # it takes a loopback address without TLS by itself; others are its daemon's setting
        return [f"docker login {host}", f"docker tag alpine {image}", f"docker push {image}"]
    insecure = " --tls-verify=false" if plain else ""
    if client == "podman":
        return [f"podman login{insecure} {host}", f"podman tag alpine {image}", f"podman push{insecure} {image}"]
    return [
        f"skopeo login{insecure} {host}",
        f"skopeo copy{' --dest-tls-verify=false' if plain else ''} docker://alpine docker://{image}",
        f"skopeo list-tags{insecure} docker://{image}",
    ]


def text(settings: Settings, *, administered: bool, link: str | None) -> str:
    """Compose the lines; *link* is the secret of the set-up link, where one was made just now."""
    if administered:
        sign_in = "Sign in with your name and password, or with a personal token in the password's place."
    elif link is not None:
        sign_in = (
            "Nobody can sign in yet. Open this address once, within 24 hours, and choose a name and a password for\n"
            f"the first administrator:\n\n    {settings.address}/set-up?link={link}"
        )
    else:
        sign_in = (
            "Nobody can sign in yet. Use the set-up link that was printed by a process which started a moment ago;\n"
            "one that starts later prints a new one. Or run: portolan user add NAME --admin"
        )
    commands = "\n".join(f"    {line}" for line in first_push(settings.address))
    return f"\nPortolan is ready at {settings.address}\n\n{sign_in}\n\nPush a first image:\n\n{commands}\n"
