"""The container's health check: asks the Portolan in the same container whether it is alive; exits with 0 or 1.

It stands alone, because it runs every few seconds and must start quickly. It reads two settings from the environment of
the container, and so sees those that were given as variables.
"""

import os
import ssl
import sys
import urllib.request


def main() -> int:
    host, _, port = os.environ.get("PORTOLAN_LISTEN", "127.0.0.1:5000").rpartition(":")
    # An address that means "every one" is no address to connect to.
    if host in ("", "0.0.0.0", "[::]", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    scheme = "http"
    if os.environ.get("PORTOLAN_TLS_CERTIFICATE"):
        scheme = "https"
        # The certificate names the address that clients use, which loopback is not. Nothing secret is sent.
        handlers.append(urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))  # noqa: S323
    try:
        with urllib.request.build_opener(*handlers).open(f"{scheme}://{host}:{port}/healthz", timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
