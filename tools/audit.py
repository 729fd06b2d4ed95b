"""Asks whether a weakness is known of any locked package. `make audit` runs it.

The answer comes from the advisories of PyPI, by pip-audit, which takes a package that nobody knows, or a service that
gives no answers, for a sound one. Here it is told apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from tools.locks import ROOT

WEAK: Final = 1
UNKNOWN: Final = 3

_TIMEOUT: Final = 120  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was answered."""

    sound: int = 0  # packages of which no weakness is known
    weak: tuple[str, ...] = ()  # the others: each with its advisory, and where it is mended
    unknown: tuple[str, ...] = ()  # packages of which nothing could be learnt
    trouble: str = ""  # why nothing was answered at all

    @property
    def answered(self) -> bool:
        return not self.trouble and bool(self.sound or self.weak)


def ask() -> Audit:
    """Ask about the large lock; the others are parts of it."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.lock")]
    command += ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json", "--desc", "off"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)  # noqa: S603  all of it is ours
    except subprocess.TimeoutExpired:
        return Audit(trouble=f"no answer within {_TIMEOUT} seconds")
    return read_report(ended.stdout, ended.stderr)


def read_report(report: str, complaints: str) -> Audit:
    """What pip-audit has printed on its two outputs."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Audit(trouble=(complaints.strip().splitlines() or ["pip-audit said nothing"])[-1])
    weak = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for one in packages
        for found in one.get("vulns", ())
    ]
    return Audit(
        sound=sum("skip_reason" not in one and not one["vulns"] for one in packages),
        weak=tuple(weak),
        unknown=tuple(one["name"] for one in packages if "skip_reason" in one),
    )


def main() -> int:
    audit = ask()
    for line in audit.weak:
        print(line)
    if not audit.answered:
        why = audit.trouble or f"PyPI answers for none of {len(audit.unknown)} packages"
        print(f"the locked packages could not be audited from here: {why}", file=sys.stderr)
        return UNKNOWN
    if audit.unknown:
        print(f"PyPI does not know {', '.join(audit.unknown)}", file=sys.stderr)
    print(f"no weakness is known of {audit.sound} packages; of {len(audit.weak)} there is", file=sys.stderr)
    return WEAK if audit.weak or audit.unknown else 0


if __name__ == "__main__":
    sys.exit(main())
