"""A benchmark that reads a gin file imports all that the file binds."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ('module', 'gin_file'),
    [
        ('space_invaders_limit', 'benchmarks/space_invaders_nature_speed.gin'),
        ('reinforce_baselines', 'configs/reinforce_cartpole_tutorial.gin'),
        ('bias_runs', 'benchmarks/maximisation_bias.gin'),
    ],
)
def test_its_gin_file_can_be_read(module, gin_file):
    code = f"import benchmarks.{module}; from pipelines import cli; cli.parse_gin('{gin_file}', [])"
    subprocess.run([sys.executable, '-c', code], check=True)
