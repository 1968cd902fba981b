"""Who can reach a running training: from outside, as another program of the machine would."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import reverb

from pipelines import namespaces, network
from pipelines.errors import UserError
from tests import warm_python
from tests.pipelines.whole_runs import command

CARTPOLE = 'configs/ddqn_cartpole.gin'


@pytest.mark.parametrize(
    'env_name',
    [
        'CartPole-v1', 'CartPole-v0', 'phys2d/CartPole-v1', 'Taxi-v3', 'LunarLander-v3',
        'Reacher-v5', 'ALE/SpaceInvaders-v5', 'SpaceInvaders-v0', 'BreakoutNoFrameskip-v4',
        'GaussianBandit-v0', 'WideGaussianBandit-v0', 'MaximisationBias-v0',
    ],
)  # fmt: skip
def test_gymnasiums_ales_and_our_own_environments_are_known(env_name):
    assert network.is_known(env_name)


@pytest.mark.parametrize(
    'env_name', ['my_env:MyEnv', 'MiniGrid-Empty-5x5-v0', 'MyGame-v0', 'v4', '']
)
def test_others_are_not(env_name):
    assert not network.is_known(env_name)


@pytest.mark.parametrize(
    ('bindings', 'why'),
    [
        ([], None),
        (["train_ddqn.env_name = 'Acrobot-v1'  # small"], None),
        (["train_ddqn.env_name = 'my_env:MyEnv'"], "'my_env:MyEnv'"),
        (["train_ddqn.env_name = 'Hers-v0'"], "environment 'Hers-v0'"),
        (["train_ddqn.env_name = 'Hers-v0'", "train_ddqn.env_name = 'Acrobot-v1'"], None),
        (['train_ddqn.env_name = %mine'], "environment '%mine'"),
        (["train_ddqn.callbacks = ['tracker:Log']"], "'tracker:Log'"),
        (["train_ddqn.callbacks = [('tracker:Log', {})]"], "'tracker:Log'"),
        (["task.wrappers = ['FlattenObservation']"], None),
        (["task.wrappers = ['envs.noisy_reward:NoisyReward']"], None),
        (['import my_module'], 'the module my_module'),
        (['from her.package import x'], 'the module her.package'),
        (["include 'nowhere.gin'"], None),
    ],
)
def test_code_of_the_users_is_found_without_importing_it(bindings, why):
    assert network.users_code(CARTPOLE, bindings) == why


def test_it_is_found_in_included_files(tmp_path):
    (tmp_path / 'inner.gin').write_text("# 'a.b:C'\ntask.wrappers = [\n    'my_env:Wrapper',\n]\n")
    outer = tmp_path / 'outer.gin'
    outer.write_text("include 'inner.gin'\ninclude 'outer.gin'\n")
    assert network.users_code(str(outer), []) == "'my_env:Wrapper'"


def choose(monkeypatch, choice, bindings=(), obstacle=None):
    """(the line, whether the process would have left the network)."""
    left = []
    monkeypatch.setattr(namespaces, 'obstacle', lambda enter: obstacle)
    monkeypatch.setattr(namespaces, 'leave_the_network', lambda: left.append(True))
    monkeypatch.delitem(sys.modules, 'tensorflow', raising=False)
    return network.choose(choice, CARTPOLE, bindings), bool(left)


def test_a_run_without_code_of_the_users_is_private(monkeypatch):
    assert choose(monkeypatch, 'auto') == (None, True)


def test_one_with_such_code_stays_open_and_says_so(monkeypatch):
    bindings = ["train_ddqn.env_name = 'my_env:MyEnv'"]
    line, left = choose(monkeypatch, 'auto', bindings)
    assert not left and '\n' not in line
    assert "'my_env:MyEnv' may need the network: --network=private closes it" in line
    assert choose(monkeypatch, 'private', bindings) == (None, True)


def test_where_the_kernel_refuses_a_line_says_so_and_a_wish_is_an_error(monkeypatch):
    line, left = choose(monkeypatch, 'auto', obstacle='Operation not permitted')
    assert not left and '\n' not in line
    assert 'no network of its own here (Operation not permitted)' in line
    with pytest.raises(UserError, match='--network=private: .*Operation not permitted'):
        choose(monkeypatch, 'private', obstacle='Operation not permitted')


def test_host_leaves_everything_as_it_is(monkeypatch):
    assert choose(monkeypatch, 'host') == (None, False)


def test_a_program_that_calls_ours_decides_itself():
    import tensorflow  # noqa: F401, as such a program has

    assert network.choose('auto', CARTPOLE, []) is None
    with pytest.raises(UserError, match='this process has threads already'):
        network.choose('private', CARTPOLE, [])


def listening(pid):
    """The ports that a process listens on, in whichever network it is."""
    sockets = set()
    for descriptor in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        try:
            sockets.add(os.readlink(descriptor))
        except FileNotFoundError:  # it has been closed meanwhile
            continue
    return {
        port for port, inode in _listeners(f'/proc/{pid}/net') if f'socket:[{inode}]' in sockets
    }


def _listeners(directory):
    for kind in ('tcp', 'tcp6'):
        for line in pathlib.Path(directory, kind).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == '0A':
                yield int(fields[1].rpartition(':')[2], 16), fields[9]


class Training:
    """A run of many steps, which trains by now."""

    def __init__(self, root, *flags):
        steps = {'num_env_steps': 10**7, 'log_interval_env_steps': 200}
        self.root = root
        self.process = subprocess.Popen(
            [
                warm_python.REAL,  # TensorFlow must not have been imported
                *command('train_ddqn', f'--root_dir={root}', *flags)[1:],
                *(f'--gin_bindings=train_ddqn.{name} = {n}' for name, n in steps.items()),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 180
        while not self._trains():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (self.port,) = listening(self.process.pid)

    def _trains(self):
        progress = self.root / 'progress.csv'
        return progress.exists() and progress.read_text().count('\n') > 2

    def reset(self):
        """Empties the replay as any program of this machine may try to; says whether it could."""
        client = reverb.Client(f'localhost:{self.port}')
        try:
            client.server_info(timeout=5)
        except (RuntimeError, reverb.DeadlineExceededError):
            return False
        client.reset('transitions')
        return True

    def end(self):
        """(exit code, standard output, standard error)."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


@pytest.fixture
def train(tmp_path):
    started = []

    def start(*flags):
        started.append(Training(tmp_path / 'run', *flags))
        return started[-1]

    yield start
    for training in started:
        if training.process.poll() is None:
            training.process.kill()
            training.process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason='finding out needs a fresh process')
def test_nobody_outside_finds_or_empties_the_replay_of_a_run(train):
    training = train()
    assert training.port not in dict(_listeners('/proc/self/net'))
    own, its = (os.readlink(f'/proc/{pid}/ns/net') for pid in ('self', training.process.pid))
    assert own != its
    assert not training.reset()
    assert training.process.poll() is None
    assert training.root.stat().st_uid == os.geteuid()
    training.process.send_signal(signal.SIGTERM)
    _, out, err = training.end()
    assert 'stopped at' in out and 'is open to' not in out and 'error' not in err


@pytest.mark.slow
def test_an_open_replay_that_is_emptied_ends_the_run_with_a_line(train):
    training = train('--network=host')
    assert training.port in dict(_listeners('/proc/self/net'))
    assert training.reset()
    code, _, err = training.end()
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith('error: ')]
    assert 'another program has changed the experience of this run' in line
    assert 'Traceback' not in err
