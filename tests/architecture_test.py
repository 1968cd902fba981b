"""Who may import whom: the picture of BUILD_NOTES.md, held by walking the imports."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(p for d in ('agents', 'envs', 'pipelines') for p in (ROOT / d).glob('*.py'))
DRIVERS = {'train_ddqn', 'train_reinforce', 'evaluate', 'compare'}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', FILES, ids=lambda p: f'{p.parent.name}.{p.stem}')
def test_imports_go_one_way(path):
    for name in imports(path):
        parts = name.split('.')
        if path.parent.name == 'agents':
            assert parts[0] not in ('envs', 'pipelines', 'gymnasium'), name
        if path.parent.name == 'envs':
            assert parts[0] not in ('agents', 'pipelines'), name
        if parts[0] == 'pipelines' and len(parts) > 1:
            assert parts[1] not in DRIVERS, f'{name}: nobody imports a driver'
        if parts[0] == 'reverb':
            assert path.name in ('replay.py', 'replay_client.py', 'episode_queue.py'), name
        if 'policy_saver' in parts:
            assert path.name == 'export.py', name
        if name.startswith('absl') and 'flags' in parts:
            assert path.stem in DRIVERS | {'cli'}, name


def test_every_module_has_a_test_of_its_own_or_is_named_here():
    tested_elsewhere = {
        'agents/errors', 'envs/errors', 'agents/policies',  # in ddqn_test
        'envs/suite', 'envs/noisy_reward',  # in gymnasium_env_test
        'envs/gaussian_bandit', 'envs/linear_quadratic',  # in continuous_test
        'pipelines/report',  # in space_invaders_test
        'pipelines/replay_client',  # in replay_test
        'pipelines/comparison_report', 'pipelines/comparison_figures',  # in comparison_test
        'pipelines/session', 'pipelines/export_proof',  # in train_ddqn_test, export_test
    }  # fmt: skip
    for path in FILES:
        name = f'{path.parent.name}/{path.stem}'
        if path.stem != '__init__' and name not in tested_elsewhere:
            assert (ROOT / 'tests' / f'{name}_test.py').exists(), name
