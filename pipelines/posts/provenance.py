"""When, where and from which commit the runs of a tutorial were made.

Kept in <root>/provenance.json, an entry for each start of `pipelines.tutorials run`.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
from typing import Any, TypedDict

import psutil

from pipelines import files, json_files

_NAME = 'provenance.json'
_PACKAGES = ('tensorflow', 'tf-agents', 'gymnasium', 'dm-reverb', 'numpy')
_GIT_SECONDS = 10


class _Start(TypedDict):
    date: str
    commit: str
    machine: str
    versions: dict[str, str]


def note(root: pathlib.Path) -> None:
    """Adds this start to those that made the runs in `root`."""
    entry = {'date': today(), 'commit': commit(), 'machine': machine(), 'versions': versions()}
    starts = read(root)
    if not starts or starts[-1] != entry:
        files.write_json(root / _NAME, [*starts, entry])


def read(root: pathlib.Path) -> list[dict[str, Any]]:
    """The starts so far, oldest first: 'date', 'commit', 'machine', 'versions'."""
    path = root / _NAME
    if not path.exists():
        return []
    return json_files.read(path, list[_Start], cure='delete it; the starts before are forgotten')


def today() -> str:
    """As '2026-11-25'."""
    return datetime.date.today().isoformat()


def machine() -> str:
    """The processor's name, the cores that this process may use, and the memory."""
    info = pathlib.Path('/proc/cpuinfo')
    found = re.search(r'model name\s*: (.+)', info.read_text()) if info.exists() else None
    name = found[1].strip() if found else platform.processor() or platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return f'{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB'


def versions() -> dict[str, str]:
    """Python's version and those of the packages that matter most."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {'python': platform.python_version(), **found}


def commit() -> str:
    """The commit that is checked out, and whether files differ from it; 'unknown' without git."""
    head = _git('rev-parse', '--short', 'HEAD')
    if head is None:
        return 'unknown'
    return f'{head}, with changes' if _git('status', '--porcelain', '-uno') else head


def _git(*arguments: str) -> str | None:
    """git's answer about this repository; None if it has none."""
    command = ('git', '--no-optional-locks', '-C', str(files.PACKAGE_DIR.parent), *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
