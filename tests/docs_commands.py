"""Runs the commands of README.md and docs/*.md, shortened, in a directory of their own.

    python -m tests.docs_commands

Each command is run as its document has it, with the arguments added that make it short. Files
that a document has its reader write are there, and so are benchmarks/ and examples/. The Python
programs that use an exported policy are run where nothing but TensorFlow and Gymnasium can be
imported. `docs_test` holds that every command of the documents is in `GROUPS` or in `NOT_RUN`.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib

from tests import docs_markdown

_PROCESSES = 2
_TIMEOUT_SECONDS = 300


def _gin(*bindings: str) -> tuple[str, ...]:
    return tuple(f'--gin_bindings={binding}' for binding in bindings)


_SHORT_DDQN = _gin(
    'train_ddqn.num_env_steps = 1_200',
    'train_ddqn.min_replay_transitions = 300',
    'train_ddqn.train_steps_per_env_step = 0.25',
    'train_ddqn.num_eval_episodes = 2',
    'train_ddqn.num_selection_episodes = 2',
    'train_ddqn.eval_interval_env_steps = 600',
)
_SHORT_PIXELS = _gin(
    'train_ddqn.num_env_steps = 800',
    'train_ddqn.num_envs = 4',
    'train_ddqn.min_replay_transitions = 200',
    'train_ddqn.train_steps_per_env_step = 0.05',
    'train_ddqn.num_eval_episodes = 1',
    'train_ddqn.num_selection_episodes = 1',
    'train_ddqn.eval_interval_env_steps = 800',
    'train_ddqn.video_interval_episodes = None',
    'Replay.capacity_transitions = 1_000',
    'atari.max_frames_per_episode = 400',
)
_SHORT_REINFORCE = _gin(
    'train_reinforce.num_eval_episodes = 2',
    'train_reinforce.num_selection_episodes = 2',
)
# Makes everything and checks every binding, where a short run of the like is made anyway.
_CHECK = ('--check_only',)

# Commands that need each other's runs are in one group, in order; groups run side by side. The
# value is what is added to the command.
GROUPS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        'python -m pipelines.train_ddqn --root_dir=runs/space_invaders '
        '--gin_file=configs/ddqn_space_invaders.gin': _SHORT_PIXELS,
        'python examples/play_raw.py runs/space_invaders/policy_raw': (),
        'python -m benchmarks.raw_parity --root_dir=runs/space_invaders': (
            '--steps=50',
            '--goal=0',
        ),
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/cartpole': _SHORT_DDQN,
        'python -m pipelines.evaluate --policy_dir=runs/cartpole/policy --video=play.gif': (
            '--episodes=4',
        ),
        'python -m pipelines.evaluate --policy_dir=runs/cartpole --episodes=100 '
        '--json=play.json --video=play.gif': (),
        'tensorboard --logdir=runs/cartpole/tensorboard': ('--inspect',),
        'python -m pipelines.train_ddqn --root_dir=runs/again '
        """--gin_bindings="train_ddqn.warm_start = 'runs/cartpole'" """
        '--gin_bindings="QLearningAgent.epsilon = 0.05" '
        '--gin_bindings="adam.learning_rate = 1e-4"': _SHORT_DDQN,
        'python -m pipelines.train_ddqn --root_dir=runs/from_cartpole '
        """--gin_bindings="train_ddqn.env_name = 'Acrobot-v1'" """
        """--gin_bindings="train_ddqn.warm_start = 'runs/cartpole'" """
        '--gin_bindings="train_ddqn.warm_start_reinitialise = '
        """['advantage_stream/1', 'torso/0']\"""": _CHECK,
        'python -m pipelines.train_ddqn --root_dir=runs/second '
        """--gin_bindings="train_ddqn.reuse_replay = 'runs/cartpole'\"""": _CHECK,
    },
    {'python -m pipelines.train_ddqn --root_dir=runs/watched --gin_file=watched.gin': _SHORT_DDQN},
    {
        'python -m pipelines.compare --experiment=mine.toml --root_dir=runs/mine': (),
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/corridor --gin_file=corridor.gin': (
            *_SHORT_DDQN,
            *_gin('train_ddqn.video_interval_episodes = 50'),
        ),
        'python -m pipelines.evaluate --policy_dir=runs/corridor/policy --video=corridor.gif': (
            '--episodes=4',
        ),
        'python -m pipelines.train_reinforce --root_dir=runs/corridor_reinforce '
        """--gin_bindings="train_reinforce.env_name = 'my_env:Corridor'" """
        '--gin_bindings="task.max_episode_steps = 50"': (
            *_SHORT_REINFORCE,
            *_gin('train_reinforce.num_episodes = 64'),
        ),
        'python -m pipelines.compare --experiment=corridor.toml --root_dir=runs/corridors': (),
    },
    {
        'python -m pipelines.train_reinforce --root_dir=runs/reinforce_tutorial '
        '--gin_file=configs/reinforce_cartpole_tutorial.gin': (
            *_SHORT_REINFORCE,
            *_gin('train_reinforce.num_episodes = 20'),
        ),
    },
    {
        'python -m pipelines.train_reinforce --root_dir=runs/bandit '
        '--gin_file=configs/reinforce_gaussian_bandit.gin': (
            *_SHORT_REINFORCE,
            *_gin('train_reinforce.num_episodes = 640'),
        ),
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/double_q '
        '--gin_file=configs/ddqn_noisy_cartpole_tutorial.gin': (
            *_SHORT_DDQN,
            *_gin('train_ddqn.num_env_steps = 300', 'train_ddqn.min_replay_transitions = 100'),
        ),
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/nim '
        """--gin_bindings="train_ddqn.env_name = 'examples.nim:Nim'\"""": _SHORT_DDQN,
    },
    {'python -m pipelines.train_ddqn --root_dir=runs/torso --gin_file=torso.gin': _SHORT_DDQN},
    {
        'python -m pipelines.train_ddqn --root_dir=runs/own '
        '--gin_bindings="import examples.own_network" '
        '--gin_bindings="import examples.own_optimizer" '
        '--gin_bindings="train_ddqn.network = @normalised_network" '
        '--gin_bindings="train_ddqn.optimizer = @centred_rmsprop"': _SHORT_DDQN,
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/catch '
        '--gin_file=benchmarks/catch.gin': _CHECK
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/lander '
        '--gin_file=configs/ddqn_lunar_lander.gin': _CHECK,
        'python -m pipelines.train_ddqn --root_dir=runs/blackjack '
        '--gin_file=configs/ddqn_blackjack.gin': _CHECK,
        'python -m pipelines.train_ddqn --root_dir=runs/taxi --gin_file=configs/ddqn_taxi.gin': (
            _CHECK
        ),
    },
    {
        'python -m pipelines.train_reinforce --root_dir=runs/two_heads '
        '--gin_file=configs/reinforce_cartpole_two_heads.gin': _CHECK,
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/acrobot '
        """--gin_bindings="train_ddqn.env_name = 'Acrobot-v1'\"""": _CHECK,
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/space_invaders_tutorial '
        '--gin_file=configs/ddqn_space_invaders_tutorial.gin': _CHECK,
    },
    {'python -m pipelines.tutorials': ()},
    {'python -m pipelines.tutorials run continuous-policy-gradients': ('--quick',)},
    {
        'python -m pipelines.train_ddqn --root_dir=runs/prioritised '
        '--gin_file=configs/ddqn_space_invaders_prioritised_tutorial.gin': _CHECK,
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/dueling '
        '--gin_file=configs/dueling_ddqn_cartpole_tutorial.gin': _CHECK,
    },
    {
        'python -m pipelines.train_ddqn --root_dir=runs/turns '
        '--gin_file=configs/ddqn_noisy_cartpole_tutorial.gin '
        '--gin_bindings="train_ddqn.num_env_steps = 8000" '
        '--gin_bindings="train_ddqn.eval_interval_env_steps = 50000" '
        '--gin_bindings="train_ddqn.max_train_steps_per_turn = 4"': _CHECK,
    },
    {'python -m benchmarks.replay_memory --transitions_per_item=16': ('--transitions=20000',)},
)

_INSTALLS = 'installs; CI has done it before it comes here'
_HOURS = 'takes an hour or more, and has nothing to shorten that would leave its meaning'
_EXPERIMENT = (
    'dozens of runs; the experiment of README goes through the same program, and every shipped '
    "experiment's bindings are checked by tests/pipelines/comparison/experiment_test.py"
)
_TUTORIAL = 'minutes to hours; one of the tutorials is run in its short form'
NOT_RUN: dict[str, str] = {
    'python -m pipelines.tutorials run reinforce-cartpole': _TUTORIAL,
    'python -m pipelines.tutorials run double-q': _TUTORIAL,
    'python -m pipelines.tutorials run space-invaders': _TUTORIAL,
    'python -m pipelines.tutorials run two-heads': _TUTORIAL,
    'python -m pipelines.tutorials run dueling-cartpole': _TUTORIAL,
    'python -m pipelines.tutorials run space-invaders-prioritised': _TUTORIAL,
    'git clone URL tf-agents-pipelines': 'has no address here',
    'cd tf-agents-pipelines': 'is about the clone',
    'source .venv/bin/activate': 'every program here is run by that interpreter',
    'make train': 'installs, and trains at full length; its command is run shortened',
    'make train PYTHON=/path/to/python3.11': "the path is the reader's",
    'make test': 'CI has run it before it comes here',
    'make check': 'a part of what CI has run before it comes here',
    'make bench': 'an hour, and needs the peers in an environment of their own',
    "pip install -c constraints.txt -e '.[test,atari,compare]'": _INSTALLS,
    "pip install -c constraints.txt -e '.[box2d]'": _INSTALLS,
    'pip install --no-deps minigrid==3.2.0': 'installs what no test needs',
    'python -m pipelines.train_ddqn --root_dir=runs/door --gin_file=benchmarks/minigrid.gin': (
        'needs MiniGrid, whose requirements contradict those of TF-Agents'
    ),
    "pip install -c constraints.txt -e '.[gpu]'": 'there is no GPU here',
    'python -m pipelines.train_ddqn --root_dir=runs/seed_N --seed=N': 'N stands for a number',
    'python -m pipelines.train_reinforce --root_dir=runs/reinforce_N --seed=N': (
        'N stands for a number'
    ),
    'python -m pipelines.train_ddqn --root_dir=runs/dials_N --seed=N '
    '--gin_file=benchmarks/dials.gin': 'N stands for a number',
    'python -m benchmarks.dials --policy_dir=runs/dials_N/policy': 'N stands for a number',
    'python -m pipelines.train_ddqn --root_dir=runs/taxi_N --seed=N '
    '--gin_file=configs/ddqn_taxi.gin': 'N stands for a number',
    'python -m pipelines.train_ddqn --root_dir=runs/lander_N --seed=N '
    '--gin_file=configs/ddqn_lunar_lander.gin': 'N stands for a number',
    'python -m pipelines.train_ddqn --root_dir=runs/catch_N --seed=N '
    '--gin_file=benchmarks/catch.gin': 'N stands for a number',
    'python -m pipelines.train_ddqn --root_dir=runs/blackjack_N --seed=N '
    '--gin_file=configs/ddqn_blackjack.gin': 'N stands for a number',
    'python -m pipelines.train_ddqn --root_dir=runs/door_N --seed=N '
    '--gin_file=benchmarks/minigrid.gin': 'N stands for a number',
    'python -m pipelines.train_ddqn --root_dir=runs/empty_N --seed=N '
    '--gin_file=benchmarks/minigrid.gin '
    """--gin_bindings="train_ddqn.env_name = 'minigrid:MiniGrid-Empty-5x5-v0'\"""": (
        'N stands for a number'
    ),
    'python -m pipelines.evaluate --policy_dir=runs/blackjack_N --episodes=100000': (
        'N stands for a number'
    ),
    'python -m benchmarks.illegal_actions --root_dir=runs/illegal': (
        'ten runs; tests/pipelines/actions_test.py makes shorter ones'
    ),
    'python -m pipelines.compare --experiment=configs/experiments/s2_noisy_cartpole.toml '
    '--root_dir=runs/s2': _EXPERIMENT,
    'python -m pipelines.compare --experiment=configs/experiments/priorities_cartpole.toml '
    '--root_dir=runs/priorities': _EXPERIMENT,
    'python -m pipelines.compare --experiment=configs/experiments/heads_cartpole.toml '
    '--root_dir=runs/heads': _EXPERIMENT,
    'python -m pipelines.compare --experiment=benchmarks/museum.toml '
    '--root_dir=runs/museum': _EXPERIMENT,
    'python -m pipelines.compare --experiment=benchmarks/museum_reinforce.toml '
    '--root_dir=runs/museum_reinforce': _EXPERIMENT,
    'python -m pipelines.compare --run_dirs=runs/priorities --root_dir=runs/priorities_training '
    '--metric=return_mean_100': 'reports on runs that take hours',
    'python -m benchmarks.maximisation_bias --root_dir=runs/maximisation_bias': (
        'judges what a thousand runs show, and fails with fewer; '
        'tests/benchmarks/maximisation_bias_test.py runs its parts'
    ),
    'python -m benchmarks.reinforce_baselines --root_dir=runs/baselines': _HOURS,
    'python -m benchmarks.reinforce_optima --root_dir=runs/optima': (
        'ten minutes; its two configurations are trained by the tests'
    ),
    'python -m benchmarks.overestimation_check --policy_dir=runs/cartpole/policy': (
        'judges a policy that has learned, and the one here has not'
    ),
    'python -m benchmarks.blind_cliffwalk': _HOURS,
    'python -m benchmarks.space_invaders_limit': 'measures speed, on a machine that is busy here',
    'python -m benchmarks.reinforce_speed': 'measures speed, on a machine that is busy here',
    'python -m benchmarks.survive_kills --root_dir=runs/survive_kills': (
        'minutes; tests/pipelines/train_ddqn_test.py kills and resumes a shorter run'
    ),
    'python -m benchmarks.replay_memory --env_name=ALE/SpaceInvaders-v5 --lead_rows=3 '
    '--transitions=100000 --transitions_per_item=8': 'minutes; it is run with CartPole',
}

# Documents whose Python programs use the policy in runs/cartpole.
_POLICY_PROGRAMS = (docs_markdown.README, docs_markdown.ROOT / 'docs/deploy.md')
_BAR = """
import sys
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {barred}:
            raise ImportError(f'{{name}} is barred here')
sys.meta_path.insert(0, Bar())
"""
_BARRED = {'tf_agents', 'tensorflow_probability', 'reverb', 'gin', 'agents', 'envs', 'pipelines'}


def run_commands() -> list[str]:
    """Every command that is run."""
    return [docs_markdown.plain(command) for group in GROUPS for command in group]


def not_run_commands() -> list[str]:
    """Every command that is not."""
    return [docs_markdown.plain(command) for command in NOT_RUN]


def _shorter_experiment(text: str) -> str:
    """The experiment with one seed and two agents of short runs."""
    experiment = tomllib.loads(text)
    bindings = [flag.partition('=')[2] for flag in _SHORT_DDQN]
    lines = [f'program = {json.dumps(experiment["program"])}', 'seeds = 1']
    lines += [f'bindings = {json.dumps(bindings)}']
    for table in ('environments', 'agents'):
        lines += [f'[{table}]']
        lines += [f'{k} = {json.dumps(v)}' for k, v in list(experiment[table].items())[:2]]
    return '\n'.join(lines) + '\n'


def _prepare(directory: pathlib.Path):
    for name in ('benchmarks', 'examples'):
        (directory / name).symlink_to(docs_markdown.ROOT / name)
    for name, text in docs_markdown.files_of_the_reader().items():
        if '/' not in name:
            shorter = _shorter_experiment(text) if name.endswith('.toml') else text
            (directory / name).write_text(shorter)


def _run(name: str, arguments: list[str], directory: pathlib.Path) -> str | None:
    """Runs it and says so; returns what went wrong, or None."""
    bin_dir = pathlib.Path(sys.executable).parent
    programs = {'python': sys.executable, 'tensorboard': str(bin_dir / 'tensorboard')}
    began = time.monotonic()
    try:
        done = subprocess.run(
            [programs[arguments[0]], *arguments[1:]],
            cwd=directory, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS,
            env=os.environ | {'PYTHONPATH': str(docs_markdown.ROOT)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f'{name}\n  took more than {_TIMEOUT_SECONDS} s'
    print(f'{time.monotonic() - began:5.1f} s  exit code {done.returncode}  {name}', flush=True)
    if done.returncode == 0:
        return None
    return f'{name}\n  exit code {done.returncode}\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}'


def _run_group(group: dict[str, tuple[str, ...]], directory: pathlib.Path) -> list[str]:
    failures = []
    for command, extra in group.items():
        failures.append(_run(command, [*shlex.split(command), *extra], directory))
    if 'python -m pipelines.train_ddqn --root_dir=runs/cartpole' in group:
        for document in _POLICY_PROGRAMS:
            for block in docs_markdown.blocks(document):
                if block.language == 'python':
                    program = _BAR.format(barred=_BARRED) + block.text
                    name = f'a program of {document.name}'
                    failures.append(_run(name, ['python', '-c', program], directory))
    return [failure for failure in failures if failure]


def main() -> int:
    """Runs everything; returns the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        _prepare(pathlib.Path(directory))
        with concurrent.futures.ThreadPoolExecutor(_PROCESSES) as executor:
            groups = executor.map(lambda group: _run_group(group, pathlib.Path(directory)), GROUPS)
            failures = [failure for group in groups for failure in group]
    for failure in failures:
        print(f'\nFAILED: {failure}', file=sys.stderr)
    count = len(run_commands())
    seconds = time.monotonic() - began
    print(f'{count} commands of the documents run in {seconds:.0f} s, {len(failures)} failed')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
