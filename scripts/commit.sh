#!/usr/bin/env bash
# Which commit this tree is: the full hash, with -dirty after it where tracked files differ, or `unknown`.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
git describe --always --abbrev=40 --dirty --exclude '*' 2>/dev/null || echo unknown
