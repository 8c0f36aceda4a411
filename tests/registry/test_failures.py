"""How a failed attempt is recorded."""

from __future__ import annotations
