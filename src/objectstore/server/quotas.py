"""Quotas of tokens: which one a write has to keep, and that the store can keep it."""

from __future__ import annotations

from collections.abc import Sequence

from objectstore.auth.scopes import Credential, quota_of
from objectstore.backends.contract import Backend
from objectstore.errors import ConfigurationError, Unsupported
from objectstore.values import Capabilities, Quota


def quota_for(backend: Backend, credential: Credential, key: str) -> Quota | None:
    """What a write of `key` has to keep. To be asked when the credential has quotas; most have none.

    Raises:
        Unsupported: the store cannot keep it, and so the write may not be made.
    """
    if not backend.capabilities.quotas:
        raise Unsupported(
            f"the token {credential.name!r} has a quota, which this store cannot keep; writing needs a token without"
        )
    return quota_of(credential, key)


def check_kept(capabilities: Capabilities, names: Sequence[str]) -> None:
    """Whether a store can keep the quotas of these tokens. Raises ConfigurationError."""
    if names and not capabilities.quotas:
        told = ", ".join(repr(name) for name in names)
        raise ConfigurationError(
            f"{capabilities.name} keeps no quotas, and these tokens have one: {told}; serve the embedded engine, or "
            "take them away: objectstore token edit NAME --quota none --quota-objects none"
        )
