"""An experiment file: agents x environments x seeds, and the command of each run.

    program = 'train_ddqn'   # or 'train_reinforce', or a module that takes the same flags
    gin_file = 'configs/ddqn_cartpole.gin'       # optional: the program's default otherwise
    bindings = ['train_ddqn.num_env_steps = 20_000']   # optional: for every run
    seeds = 10                                   # 0 to 9; or a list
    metric = 'eval_mean'                         # optional: or 'return_mean_100'
    x_axis = 'env_steps'                         # optional: of the curves; or 'episodes'

    [environments]                               # a name and its bindings
    cartpole = ["train_ddqn.env_name = 'CartPole-v1'"]

    [agents]                                     # these override the environment's
    single = ['train_ddqn.double = False']
    double = ['train_ddqn.double = True']

`title`, `text` and `[[claims]]` (see `Claim`) are optional too. Each run is kept in
<root_dir>/<environment>/<agent>/seed_<n>; `file_names` says how names become directories.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from pipelines import file_names, files, gin_files, imports, json_files
from pipelines.errors import UserError
from pipelines.runs.summary import Summary
from pipelines.settings import check_x_axis

PROGRAMS = {  # and the gin file that each reads by default
    'train_ddqn': 'configs/ddqn_cartpole.gin',
    'train_reinforce': 'configs/reinforce_cartpole.gin',
}
METRICS = {
    'eval_mean': 'mean return of the exported policy, on seeds never used before',
    'return_mean_100': 'mean return of the last 100 training episodes',
}
_KEYS = ('title', 'text', 'program', 'gin_file', 'bindings', 'seeds', 'metric', 'x_axis',
         'environments', 'agents', 'claims')  # fmt: skip
_MAX_NAME_LENGTH, _MAX_SEEDS = 100, 10_000


@dataclasses.dataclass(frozen=True)
class Claim:
    """That, from one environment to another, agent `suffers` loses score and `endures` does not."""

    text: str
    suffers: str
    endures: str
    from_environment: str
    to_environment: str


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of an experiment, and how it is started."""

    environment: str
    agent: str
    seed: int
    path: pathlib.Path
    arguments: tuple[str, ...]  # for the Python interpreter

    @property
    def cell(self) -> str:
        """'<environment>/<agent>', the names of directories, which all seeds share."""
        return f'{self.path.parent.parent.name}/{self.path.parent.name}'

    @property
    def name(self) -> str:
        """'<environment>/<agent>/seed_<n>'."""
        return f'{self.cell}/seed_{self.seed}'

    @property
    def is_finished(self) -> bool:
        """Whether the run has left its summary, whole."""
        path = self.path / 'summary.json'
        return path.exists() and Summary.is_whole(path)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What an experiment file says; see `load`."""

    title: str
    text: str
    program: str
    gin_file: str | None
    bindings: tuple[str, ...]
    seeds: tuple[int, ...]
    metric: str
    environments: Mapping[str, tuple[str, ...]]
    agents: Mapping[str, tuple[str, ...]]
    claims: tuple[Claim, ...]
    x_axis: str = 'env_steps'  # of the curves; or 'episodes'

    def runs(self, root: pathlib.Path) -> list[Run]:
        """All runs, the first seed of every cell before the second seed of any."""
        module = f'pipelines.{self.program}' if self.program in PROGRAMS else self.program
        return [
            self._run(module, environment, agent, seed, root / cell)
            for seed in self.seeds
            for (environment, agent), cell in self._cells().items()
        ]

    def _run(self, module: str, environment: str, agent: str, seed: int, cell: pathlib.Path) -> Run:
        path = cell / f'seed_{seed}'
        flags = (f'--root_dir={path}', f'--seed={seed}', *self._gin_flags(environment, agent))
        return Run(environment, agent, seed, path, ('-m', module, *flags))

    def _cells(self) -> dict[tuple[str, str], str]:
        """For each environment and agent, their directory below the experiment's."""
        environments, agents = map(file_names.file_names, (self.environments, self.agents))
        return {
            (environment, agent): f'{environment_dir}/{agent_dir}'
            for environment, environment_dir in environments.items()
            for agent, agent_dir in agents.items()
        }

    def _gin_flags(self, environment: str, agent: str) -> list[str]:
        file = [f'--gin_file={self.gin_file}'] if self.gin_file else []
        bindings = (*self.bindings, *self.environments[environment], *self.agents[agent])
        return file + [f'--gin_bindings={binding}' for binding in bindings]

    def definitions(self) -> dict[str, list[str]]:
        """For each cell, every line of the files that determines its runs."""
        shared = [f"program = '{self.program}'"]
        if gin_file := self.gin_file or PROGRAMS.get(self.program):
            shared += _gin_lines(gin_file)
        return {
            cell: [*shared, *self._gin_flags(environment, agent)]
            for (environment, agent), cell in self._cells().items()
        }


def _gin_lines(gin_file: str) -> list[str]:
    """The bindings of a gin file and of the files it includes, without comments."""
    path = files.existing_file(gin_file)
    if path is None:
        raise UserError(f"gin_file = '{gin_file}' does not exist")
    return _lines_of(path)


def _lines_of(path: pathlib.Path, within: tuple[pathlib.Path, ...] = ()) -> list[str]:
    text = path.read_text(errors='replace')
    lines = [line.split('#')[0].rstrip() for line in text.splitlines()]
    for name in gin_files.names_included(text):
        included = gin_files.find_included(name, path)
        if included.resolve() not in within:  # else the program says what is wrong
            lines += _lines_of(included, (*within, path.resolve()))
    return [line for line in lines if line]


def new_cells(experiment: Experiment, root: pathlib.Path) -> set[str]:
    """The cells that no earlier start of this experiment in `root` has checked.

    Raises:
      UserError: a cell has changed since then; its first difference is named.
    """
    before, now = _kept(root), experiment.definitions()
    for cell in before.keys() & now.keys():
        if before[cell] == now[cell]:
            continue
        gone = [line for line in before[cell] if line not in now[cell]]
        come = [line for line in now[cell] if line not in before[cell]]
        change = (
            f"had '{gone[0]}'" if gone else f"had no '{come[0]}'" if come else 'had another order'
        )
        raise UserError(
            f"--root_dir='{root}' holds a different experiment: {cell} {change}; choose another "
            'directory'
        )
    return now.keys() - before.keys()


def keep(experiment: Experiment, root: pathlib.Path) -> None:
    """Remembers in `root` that the cells have been checked, beside those of earlier starts."""
    json_files.write(_kept_path(root), _kept(root) | experiment.definitions())


def _kept(root: pathlib.Path) -> dict[str, list[str]]:
    path = _kept_path(root)
    if not path.exists():
        return {}
    cure = 'delete it, and every cell is checked again'
    return json_files.read(path, dict[str, list[str]], cure=cure)


def _kept_path(root: pathlib.Path) -> pathlib.Path:
    return root / 'experiment.json'


def load(name: str) -> Experiment:
    """Reads and checks an experiment file: a path, or a name below pipelines/.

    Raises:
      UserError: the file does not exist, is not TOML, or has a value that does not fit.
    """
    path = files.existing_file(name)
    if path is None:
        shipped = (files.PACKAGE_DIR / 'configs' / 'experiments').glob('*.toml')
        names = ', '.join(sorted(p.name for p in shipped))
        raise UserError(f"--experiment='{name}' does not exist; configs/experiments/ has: {names}")
    try:
        table = tomllib.loads(path.read_text())
    except ValueError as e:  # bytes that are not UTF-8, too
        raise UserError(f"--experiment='{name}' is not valid TOML: {e}") from e
    try:
        return _experiment(table, path.stem)
    except UserError as e:
        raise UserError(f"--experiment='{name}': {e}") from e


def _experiment(table: Mapping[str, Any], stem: str) -> Experiment:
    """Checks the tables of a file; `stem` is the title where it gives none."""
    for key in table:
        if key not in _KEYS:
            raise UserError(f"unknown key '{key}': it may have {', '.join(_KEYS)}")
    program = table.get('program')
    if not isinstance(program, str) or (
        program not in PROGRAMS and not imports.is_in_a_package(program)
    ):
        raise UserError(
            f'program = {program!r}: must be one of {tuple(PROGRAMS)}, or a module that takes '
            "their flags, such as 'benchmarks.museum'"
        )
    if table.get('metric', 'eval_mean') not in tuple(METRICS):
        raise UserError(f'metric = {table["metric"]!r}: must be one of {tuple(METRICS)}')
    check_x_axis('x_axis', table.get('x_axis', 'env_steps'))
    for key in ('title', 'text', 'gin_file'):
        if not isinstance(table.get(key, ''), str):
            raise UserError(f'{key} = {table[key]!r}: must be a string')
    if not isinstance(table.get('claims', []), list):
        raise UserError('claims: must be tables, each below a line [[claims]]')
    environments, agents = _named(table, 'environments'), _named(table, 'agents')
    experiment = Experiment(
        title=table.get('title', stem),
        text=table.get('text', ''),
        program=program,
        gin_file=table.get('gin_file'),
        bindings=_bindings('bindings', table.get('bindings', [])),
        seeds=_seeds(table.get('seeds')),
        metric=table.get('metric', 'eval_mean'),
        environments=environments,
        agents=agents,
        claims=tuple(_claim(claim, environments, agents) for claim in table.get('claims', [])),
        x_axis=table.get('x_axis', 'env_steps'),
    )
    experiment.definitions()  # reads the gin file
    return experiment


def _named(table: Mapping[str, Any], key: str) -> dict[str, tuple[str, ...]]:
    named = table.get(key)
    if not isinstance(named, dict) or not named:
        raise UserError(f'[{key}] is missing or empty: give each a name and a list of bindings')
    for name in named:
        if not (name and name.isprintable() and len(name) <= _MAX_NAME_LENGTH):
            raise UserError(
                f'{key}: {name[:_MAX_NAME_LENGTH]!r} cannot be a name: it needs 1 to '
                f'{_MAX_NAME_LENGTH} printable characters, and has {len(name)}'
            )
    return {name: _bindings(f'{key}.{name}', value) for name, value in named.items()}


def _bindings(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and '=' in v for v in value):
        raise UserError(f"{key} = {value!r}: must be a list of strings such as 'a.b = 1'")
    return tuple(value)


def _seeds(value: Any) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = list(range(min(value, _MAX_SEEDS + 1)))
    whole = isinstance(value, list) and all(type(v) is int and 0 <= v < 2**31 for v in value)
    if not whole or not 1 <= len(value) <= _MAX_SEEDS:
        raise UserError(f'seeds: must be 1 to {_MAX_SEEDS:_}, or a list of whole numbers >= 0')
    seed, times = collections.Counter(value).most_common(1)[0]
    if times > 1:
        raise UserError(f'seeds: {seed} appears {times} times')
    return tuple(value)


def _claim(table: Any, environments: Collection[str], agents: Collection[str]) -> Claim:
    keys = {'text', 'suffers', 'endures', 'from', 'to'}
    if not isinstance(table, dict) or table.keys() != keys:
        raise UserError(f'claims: each has the keys {", ".join(sorted(keys))}')
    for key, value in table.items():
        if not isinstance(value, str):
            raise UserError(f'claims: {key} = {value!r}: must be a string')
    allowed = {'suffers': agents, 'endures': agents, 'from': environments, 'to': environments}
    for key, names in allowed.items():
        if table[key] not in names:
            raise UserError(f'claims: {key} = {table[key]!r}: must be one of {tuple(names)}')
    return Claim(table['text'], table['suffers'], table['endures'], table['from'], table['to'])
