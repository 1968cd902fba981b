"""Who can reach the replay of a run: nobody but the run, where that is possible.

Reverb listens on every interface, and whoever reaches it may read, fill or empty the replay. So a
run moves to a network of its own before TensorFlow is imported, unless it has code of the user's:
an environment may talk to a simulator, a callback to a tracker.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence

from pipelines import files, gin_files, namespaces
from pipelines.errors import UserError

CHOICES = ('auto', 'private', 'host')
_OURS = ('agents', 'envs', 'pipelines', 'gymnasium', 'ale_py', 'tf_agents', '__gin__')
_NAMED = re.compile(r"""(['"])([A-Za-z_][\w.]*):[A-Za-z_][\w./-]*\1""")  # 'module:Class'
_IMPORT = re.compile(r'^\s*(?:import|from)\s+([\w.]+)', re.MULTILINE)
_ENV_NAME = re.compile(r"""\.env_name\s*=\s*(?:(['"])(.*?)\1\s*(?:#|$)|(.*))""", re.MULTILINE)
_REGISTERED = re.compile(r"""register\(\s*(?:#.*\s*)?(?:id=)?['"]([\w/-]+)['"]""")
_OPEN = 'the replay is open to every program that reaches this machine'


def choose(choice: str, gin_file: str | None, bindings: Sequence[str]) -> str | None:
    """Moves this process to a network of its own, if that is chosen.

    Args:
      choice: one of `CHOICES`; 'auto' is 'private' for a run without code of the user's, where the
        kernel allows it.
      gin_file: of the run.
      bindings: of the run.

    Returns:
      A line for the user where the replay stays open; None where it does not, where that was
      chosen, or where another program has called this one, and so decides itself.

    Raises:
      UserError: a private network is wanted, and the kernel does not allow it.
    """
    if choice == 'host' or (choice == 'auto' and 'tensorflow' in sys.modules):
        return None
    if choice == 'auto' and (why := users_code(gin_file, bindings)) is not None:
        return f'{_OPEN}, for {why} may need the network: --network=private closes it'
    if why := namespaces.obstacle(namespaces.leave_the_network):
        if choice == 'private':
            raise UserError(
                f'--network=private: there can be no network of its own here ({why}); leave it '
                'out, and close the machine or the container to others'
            )
        return (
            f'{_OPEN}: there can be no network of its own here ({why}); close the machine or the '
            'container to others (--network=host leaves out this line)'
        )
    namespaces.leave_the_network()
    return None


def users_code(gin_file: str | None, bindings: Sequence[str]) -> str | None:
    """What in a run's configuration is code of the user's; None if nothing is.

    Only the text is read, because importing anything would start threads. What is not understood
    counts as the user's.
    """
    path = files.existing_file(gin_file) if gin_file else None
    text = '\n'.join([*(_texts(path) if path else ()), *bindings])
    text = re.sub(r'^\s*#.*', '', text, flags=re.MULTILINE)
    modules = [(found[2], found[0]) for found in _NAMED.finditer(text)]
    modules += [(found[1], f'the module {found[1]}') for found in _IMPORT.finditer(text)]
    for module, words in modules:
        if module.split('.')[0] not in _OURS:
            return words
    for _, name, other in _ENV_NAME.findall(text)[-1:]:
        if other or not is_known(name):
            return f"environment '{name or other}'"
    return None


def _texts(path: pathlib.Path, within: tuple[pathlib.Path, ...] = ()) -> Iterator[str]:
    """The text of a gin file, after those that it includes; what cannot be read is left out."""
    if path in within:
        return
    try:
        text = path.read_text(errors='replace')
        for name in gin_files.names_included(text):
            yield from _texts(gin_files.find_included(name, path).resolve(), (*within, path))
    except (OSError, UserError):  # the program says what is wrong
        return
    yield text


def is_known(env_name: str) -> bool:
    """Whether an id is Gymnasium's, ALE's or this project's own; nothing is imported."""
    places = (
        _package_dir('gymnasium') / 'envs' / '__init__.py',
        _package_dir('envs') / 'registry.py',
    )
    known = {name for path in places for name in _REGISTERED.findall(_read(path))}
    if env_name in known:
        return True
    game = re.fullmatch(r'(?:ALE/)?(\w+?)(?:-ram)?(?:NoFrameskip|Deterministic)?-v[045]', env_name)
    roms = (_package_dir('ale_py') / 'roms').glob('*.bin')
    return game is not None and game[1] in {rom.stem.title().replace('_', '') for rom in roms}


def _package_dir(name: str) -> pathlib.Path:
    """Where a package is installed; a directory that does not exist if it is not."""
    spec = importlib.util.find_spec(name)
    return pathlib.Path(spec.origin).parent if spec and spec.origin else pathlib.Path('/nowhere')


def _read(path: pathlib.Path) -> str:
    return path.read_text() if path.exists() else ''
