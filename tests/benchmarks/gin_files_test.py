"""A benchmark that reads a gin file imports all that the file binds."""

import subprocess
import sys

import pytest

GIN_FILES = {
    'space_invaders_limit': 'benchmarks/space_invaders_nature_speed.gin',
    'reinforce_baselines': 'configs/reinforce_cartpole_tutorial.gin',
    'bias_runs': 'benchmarks/maximisation_bias.gin',
}
# What others have written is imported once; a fork for each benchmark then knows nothing of ours.
CODE = """
import importlib, os, sys
import gymnasium, matplotlib.pyplot, reverb, tensorflow, tf_agents.agents, tf_agents.policies
assert not {'agents', 'envs', 'pipelines', 'benchmarks'} & set(sys.modules)
for module, gin_file in zip(sys.argv[1::2], sys.argv[2::2]):
    if os.fork():
        _, status = os.wait()
        assert status == 0, (module, gin_file)
        continue
    importlib.import_module(f'benchmarks.{module}')
    from pipelines import gin_config
    gin_config.parse(gin_file, [])
    break
else:
    print('all can be read')
"""


@pytest.mark.slow
def test_its_gin_file_can_be_read():
    names = [name for pair in GIN_FILES.items() for name in pair]
    done = subprocess.run([sys.executable, '-c', CODE, *names], capture_output=True, text=True)
    assert done.returncode == 0 and 'all can be read' in done.stdout, done.stderr
