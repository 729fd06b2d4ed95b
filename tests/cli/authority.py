"""A certificate authority for the length of a test, made with openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# From Python 3.13 on, what a certificate may be used for, and whose it is, has to stand in it.
_USAGE = ("-addext", "keyUsage=critical,keyCertSign")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Authority:
    """`certificate` is what those trust who trust it."""

    certificate: Path
    key: Path

    def issue(self, folder: Path, *names: str) -> tuple[Path, Path]:
        """A certificate for these names, `DNS:localhost` or `IP:127.0.0.1`, and its key."""
        request, certificate, key = folder / "request.pem", folder / "the cert.pem", folder / "the key.pem"
        _openssl("req", *_KEY, "-keyout", key, "-out", request, "-subj", "/CN=objectstore")
        extensions = folder / "extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\nauthorityKeyIdentifier=keyid\n")
        signed = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "1")
        _openssl("x509", "-req", "-in", request, "-out", certificate, *signed, "-extfile", extensions)
        return certificate, key


def new_authority(folder: Path) -> Authority:
    certificate, key = folder / "ca.pem", folder / "ca.key"
    _openssl("req", "-x509", *_KEY, *_USAGE, "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=Tests")
    return Authority(certificate, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
