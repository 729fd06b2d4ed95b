"""Paths that are not of objects, of which some or all are public."""

from __future__ import annotations

from typing import Final

HEALTH: Final = "/health"
HEALTH_PATHS: Final = frozenset({HEALTH, "/health/ready"})
DESCRIPTION_PATHS: Final = frozenset({"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"})
METRICS_PATH: Final = "/metrics"
