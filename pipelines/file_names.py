"""File names for names that users choose, whatever is in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MAX_LENGTH = 100  # many file systems end at 255 bytes, and something may be appended
_SAFE = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]*')
# What this project writes beside such a file or directory, or gives a temporary one.
_OURS = re.compile(r'\.(html|md|json|png|gif|csv|log|tmp|old|damaged)', re.IGNORECASE)


def file_names(names: Iterable[str]) -> dict[str, str]:
    """The file name of each name; no two are the same.

    A name of letters, digits, and _ . + - stays as it is. Any other gets a dash for each character
    that cannot stay, and a hash at its end. So does one that is too long, begins with something
    else than a letter or digit, or ends like a file of this project's, such as 'report.html'. What
    a name becomes does not depend on the others, except where two hashes are the same.
    """
    names = dict.fromkeys(names)
    found = {name: name for name in names if _stays(name)}
    taken = set(found)
    for name in names.keys() - found.keys():
        stem = re.sub(r'[^A-Za-z0-9_.+-]', '-', name).lstrip('_.+-')
        digest = hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()
        candidates = (f'{stem[: MAX_LENGTH - 65]}-{digest[:n]}'.lstrip('-') for n in range(8, 65))
        found[name] = next(each for each in candidates if each not in taken)
        taken.add(found[name])
    return {name: found[name] for name in names}


def _stays(name: str) -> bool:
    suffix = _OURS.fullmatch(name[name.rfind('.') :]) if '.' in name else None
    return bool(_SAFE.fullmatch(name)) and len(name) <= MAX_LENGTH and not suffix
