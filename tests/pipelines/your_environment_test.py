"""A stranger's module in an empty directory, as docs/extend.md has it: everything works from there.

tests/docs_commands.py types the document's commands, the comparison included.
"""

import pathlib
import subprocess
import sys
import time

import psutil
import pytest
from PIL import Image

from pipelines import compare, evaluate, train_ddqn, train_reinforce
from tests import docs_markdown
from tests.pipelines.whole_runs import RunsOfOneProof, is_proven, newest_state, read_json

DDQN = {
    'train_ddqn.env_name': "'my_env:Corridor'",
    'task.env_kwargs': "{'length': 6}",
    'task.wrappers': "['TimeAwareObservation']",
    'task.max_episode_steps': 20,
    'train_ddqn.num_env_steps': 1_500,
    'train_ddqn.num_envs': 4,
    'train_ddqn.min_replay_transitions': 100,
    'train_ddqn.train_steps_per_env_step': 0.25,
    'train_ddqn.fuse_train_steps': False,
    'train_ddqn.num_eval_episodes': 2,
    'train_ddqn.num_selection_episodes': 2,
    'train_ddqn.eval_interval_env_steps': 1_500,
    'train_ddqn.checkpoint_interval_env_steps': 200,
    'train_ddqn.video_interval_episodes': 1_000,
    'mlp_torso.units': '(8,)',
    'make_q_network.stream_units': '(8,)',
}
REINFORCE = {
    'train_reinforce.env_name': "'my_env:Corridor'",
    'task.env_kwargs': "{'length': 6}",
    'task.max_episode_steps': 20,
    'train_reinforce.num_episodes': 16,
    'train_reinforce.num_envs': 4,
    'train_reinforce.num_eval_episodes': 2,
    'train_reinforce.num_selection_episodes': 2,
    'mlp_torso.units': '(8,)',
}


def flags(root_dir, bindings):
    return [f'--root_dir={root_dir}', *(f'--gin_bindings={k}={v}' for k, v in bindings.items())]


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
    """It holds my_env.py; it is the working directory, and on the path, as for `python -m`."""
    path = tmp_path_factory.mktemp('stranger')
    (path / 'my_env.py').write_text(docs_markdown.files_of_the_reader()['my_env.py'])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.syspath_prepend(path)
        patch.setenv('PYTHONPATH', str(docs_markdown.ROOT))
        yield path
    sys.modules.pop('my_env', None)


def start_as_installed(program, *arguments):
    """Starts it as pip's script does, whose own directory, not the working one, is on the path."""
    script = pathlib.Path('bin') / program
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'import sys\nfrom pipelines.{program} import main\nsys.exit(main())\n')
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope='module')
def trained(directory):
    """A run that was killed after its first checkpoint, and then resumed to its end."""
    root = directory / 'runs'
    process = start_as_installed('train_ddqn', *flags(root, DDQN))
    deadline = time.monotonic() + 100
    while not list(root.glob('checkpoints/0*[0-9]')):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    at_kill = newest_state(root)['env_steps']
    assert 0 < at_kill < 1_490
    assert train_ddqn.main(['driver', *flags(root, DDQN)]) == 0
    return root


@pytest.mark.slow
def test_it_is_killed_resumed_exported_and_filmed(trained):
    assert is_proven(trained / 'policy')
    summary = read_json(trained, 'summary.json')
    assert summary['env_name'] == 'my_env:Corridor' and summary['env_steps'] > 1_490
    card = read_json(trained, 'policy/policy_card.json')
    assert card['env_kwargs'] == {'length': 6} and card['max_episode_steps'] == 20
    assert card['wrappers'] == [['TimeAwareObservation', {}]]
    assert card['observation_spec']['shape'] == [2]
    assert card['vectorization'] == read_json(trained, 'checkpoints/identity.json')['vectorization']
    with Image.open(trained / 'videos' / 'final.gif') as film:
        assert film.n_frames >= 2


@pytest.mark.slow
def test_it_is_evaluated_as_it_was_trained(trained, tmp_path, capsys):
    wanted = ['--episodes=3', f'--video={tmp_path / "a.gif"}', f'--json={tmp_path / "a.json"}']
    assert evaluate.main(['evaluate', f'--policy_dir={trained / "policy"}', *wanted]) == 0
    assert 'my_env:Corridor, 3 episodes: mean' in capsys.readouterr().out
    assert all(-2.01 < r < 1.01 for r in read_json(tmp_path, 'a.json')['returns'])


@pytest.mark.slow
def test_another_length_is_another_experiment(trained, capsys):
    other = DDQN | {'task.env_kwargs': "{'length': 7}"}
    assert train_ddqn.main(['driver', *flags(trained, other)]) == 2
    assert "task.env_kwargs was {'length': 6} and is now {'length': 7}" in capsys.readouterr().err
    # How its environments are stepped is not part of the experiment.
    assert (
        train_ddqn.main(['driver', *flags(trained, DDQN | {'task.vectorization': "'sync'"})]) == 0
    )
    assert 'is finished' in capsys.readouterr().out


@pytest.mark.slow
def test_elsewhere_one_line_says_what_is_missing(trained, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [p for p in sys.path if p != str(trained.parent)])
    monkeypatch.delitem(sys.modules, 'my_env')
    assert evaluate.main(['evaluate', f'--policy_dir={trained / "policy"}']) == 2
    words = f"'my_env:Corridor' needs the module 'my_env', which is neither in {tmp_path} nor inst"
    error = capsys.readouterr().err
    assert words in error and 'set PYTHONPATH=DIRECTORY' in error and error.count('\n') == 1


@pytest.mark.slow
def test_reinforce_trains_on_it(directory):
    arguments = lambda root: ['driver', *flags(root, REINFORCE)]  # noqa: E731
    runs = RunsOfOneProof(directory / 'reinforce', {'run': (train_reinforce, arguments)})
    assert read_json(runs.run('run'), 'summary.json')['episodes'] == 16
    assert 'in this process: a step takes' in runs.output('run')


@pytest.mark.slow
def test_a_comparison_finds_it_from_its_directory(trained, directory, capsys):
    """The processes that it starts do; here the first one says what is wrong, and nothing runs."""
    bindings = [f'{k} = {v}' for k, v in DDQN.items()]
    (directory / 'mine.toml').write_text(
        f"program = 'train_ddqn'\nseeds = 3\nbindings = {bindings!r}\n[agents]\nours = []\n"
        '[environments]\ncorridor = ["task.env_kwargs = {\'lenght\': 6}"]\n'
    )
    arguments = ['--experiment=mine.toml', f'--root_dir={directory / "compared"}']
    assert compare.main(['compare', *arguments]) == 2
    error = capsys.readouterr().err
    assert "environment 'my_env:Corridor' cannot be made: " in error
    assert error.endswith('did you mean length?\n')
    reported = [f'--run_dirs={trained}', f'--root_dir={directory / "report"}']
    assert compare.main(['compare', *reported]) == 0


@pytest.mark.slow
def test_a_copy_that_dies_in_its_process_ends_the_run_with_one_line(tmp_path, capsys):
    """'auto' has chosen processes, because resets are slow."""
    dies = DDQN | {
        'train_ddqn.env_name': "'tests.envs.small_envs:Counter'",
        'task.env_kwargs': "{'length': 150, 'reset_seconds': 0.03, 'fault': 'be killed', "
        "'fault_at': 101}",
        'task.max_episode_steps': 200,
        'task.wrappers': '[]',
    }
    assert train_ddqn.main(['driver', *flags(tmp_path, dies)]) == 2
    out, error = capsys.readouterr()
    assert '4 environments in processes: a step takes' in out
    assert error.startswith("error: environment 'tests.envs.small_envs:Counter': the process of co")
    assert 'was killed by SIGKILL' in error and error.count('\n') == 1
    assert read_json(tmp_path, 'checkpoints/identity.json')['vectorization'] == 'async'
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if 'spawn_main' in ' '.join(child.cmdline())]
