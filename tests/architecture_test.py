"""Who may import whom, and how large a room may be: held by walking the source."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(p for d in ('agents', 'envs', 'pipelines') for p in (ROOT / d).rglob('*.py'))
PROGRAMS = {'train_ddqn', 'train_reinforce', 'evaluate', 'compare', 'tutorials'}
# Imports go down only. A module directly below pipelines/ that is not named is the ground.
RANKS = {
    'experience': 1,
    'loops': 2,
    'runs': 3,
    'comparison': 4,
    'posts': 5,
    'suitability': 6,
    'assembly': 6,
}
RANKS |= dict.fromkeys(PROGRAMS, 7)
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_INIT_PARAMETERS = 300, 80, 8


def name_of(path):
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


all_files = pytest.mark.parametrize('path', FILES, ids=name_of)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'imports are absolute'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def rank(module):
    """Of a module below pipelines, such as 'pipelines.runs.session.Session'."""
    return RANKS.get(module.split('.')[1], 0)


@all_files
def test_imports_go_one_way(path):
    me = name_of(path)
    wing = me.split('.')[0]
    for name in imports(path):
        parts = name.split('.')
        if me == 'agents.ranges':  # whoever declares what a parameter may be imports it
            assert parts[0] not in ('agents', 'envs', 'pipelines', 'gin', 'tensorflow'), name
        if '.'.join(parts[:2]) == 'agents.ranges':
            continue
        if wing == 'agents':
            assert parts[0] not in ('envs', 'pipelines', 'gymnasium'), name
        if wing == 'envs':
            assert parts[0] not in ('agents', 'pipelines'), name
        if parts[0] == 'pipelines' and len(parts) > 1:
            assert rank(name) <= rank(me), f'{name} lies higher'
            assert parts[1] not in PROGRAMS, f'{name}: nobody imports a program'
        if name.startswith('pipelines.cli'):
            assert me.split('.')[1] in PROGRAMS, f'{name}: only programs have a command line'
        if parts[0] == 'reverb':
            assert me.startswith('pipelines.experience.'), name
        if 'policy_saver' in parts:
            assert me == 'pipelines.runs.export', name
        if name.startswith('absl') and 'flags' in parts:
            assert me.split('.')[1] in PROGRAMS | {'cli'}, name


def test_the_walk_enters_every_package():
    """A package whose files were not found would escape silently."""
    packages = {p.parent.relative_to(ROOT).as_posix() for p in FILES}
    wings = {'experience', 'loops', 'runs', 'comparison', 'posts'}
    assert packages == {'agents', 'envs', 'pipelines', *(f'pipelines/{w}' for w in wings)}


@all_files
def test_modules_functions_and_constructors_stay_small(path):
    text = path.read_text()
    assert text.count('\n') <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef):
            continue
        lines = node.end_lineno - node.lineno + 1
        assert lines <= MAX_FUNCTION_LINES, f'{node.name} has {lines} lines'
        if node.name == '__init__':  # what gin configures is keyword-only
            parameters = len(node.args.posonlyargs) + len(node.args.args) - 1
            assert parameters <= MAX_INIT_PARAMETERS, f'{parameters} parameters'


def public_functions(path):
    """Functions and methods whose every name up to the module is public."""

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef) and not child.name.startswith('_'):
                yield child
            elif isinstance(child, ast.ClassDef) and not child.name.startswith('_'):
                yield from walk(child)

    return walk(ast.parse(path.read_text()))


@all_files
def test_public_functions_are_annotated(path):
    for function in public_functions(path):
        assert function.returns is not None, f'{function.name} -> ?'
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += filter(None, (arguments.vararg, arguments.kwarg))
        bare = [a.arg for a in every if a.annotation is None and a.arg not in ('self', 'cls')]
        assert not bare, f'{function.name}({", ".join(bare)})'


def test_every_module_has_a_test_of_its_own_or_is_named_here():
    tested_elsewhere = {
        'agents/errors',  # by whatever raises it
        'pipelines/assembly', 'pipelines/protocols',  # by every program's test
        'pipelines/gin_config', 'pipelines/errors', 'pipelines/settings',  # in cli_test
        'pipelines/suitability', 'pipelines/gin_messages',  # in cli_test
        'pipelines/declared', 'pipelines/gin_early',  # in gin_values_test
        'pipelines/native_noise',  # in train_ddqn_test
        'pipelines/files',  # in run_dir_test
        'pipelines/experience/replay_client',  # in replay_test
        'pipelines/loops/collector',  # in episodes_test, museum_test
        'pipelines/runs/best_policy', 'pipelines/runs/training',  # in session_test
        'pipelines/runs/report',  # in space_invaders_test
        'pipelines/runs/export_proof',  # in export_test
        'pipelines/comparison/report', 'pipelines/comparison/figures',  # in compare_runs_test
        'pipelines/posts/by_episode', 'pipelines/posts/double_q',  # in page_test
        'pipelines/posts/space_invaders', 'pipelines/posts/bandit',  # in page_test
        'pipelines/posts/findings', 'pipelines/posts/provenance',  # in page_test
    }  # fmt: skip
    for path in FILES:
        name = path.relative_to(ROOT).with_suffix('').as_posix()
        if path.stem != '__init__' and name not in tested_elsewhere:
            assert (ROOT / 'tests' / f'{name}_test.py').exists(), name
