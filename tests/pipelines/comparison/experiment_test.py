import importlib
import pathlib
import sys
import textwrap

import gin
import pytest

from pipelines import files, json_files
from pipelines.comparison import experiment
from pipelines.errors import UserError
from tests.pipelines.fake_runs import finished_run

GOOD = """
program = 'train_ddqn'
bindings = ['train_ddqn.num_env_steps = 600']
seeds = [3, 5]
[environments]
short = ["train_ddqn.env_name = 'CartPole-v0'"]
long = ["train_ddqn.env_name = 'CartPole-v1'"]
[agents]
dqn = ['train_ddqn.double = False']
double_dqn = []
"""
SHIPPED = sorted((files.PACKAGE_DIR / 'configs/experiments').glob('*.toml'))


def load(tmp_path, text=GOOD, name='small.toml'):
    (tmp_path / name).write_text(text)
    return experiment.load(str(tmp_path / name))


def test_the_matrix_is_environments_times_agents_times_seeds(tmp_path):
    plan = load(tmp_path)
    runs = plan.runs(pathlib.Path('/runs/small'))
    assert plan.title == 'small' and plan.metric == 'eval_mean'
    assert [run.name for run in runs[:5]] == [
        'short/dqn/seed_3', 'short/double_dqn/seed_3', 'long/dqn/seed_3', 'long/double_dqn/seed_3',
        'short/dqn/seed_5',
    ]  # fmt: skip
    assert len({run.path for run in runs}) == 8
    assert runs[2].path == pathlib.Path('/runs/small/long/dqn/seed_3')
    assert runs[2].arguments == (
        '-m', 'pipelines.train_ddqn', '--root_dir=/runs/small/long/dqn/seed_3', '--seed=3',
        '--gin_bindings=train_ddqn.num_env_steps = 600',
        "--gin_bindings=train_ddqn.env_name = 'CartPole-v1'",
        '--gin_bindings=train_ddqn.double = False',
    )  # fmt: skip


def test_a_count_of_seeds_begins_at_zero(tmp_path):
    assert load(tmp_path, GOOD.replace('[3, 5]', '3')).seeds == (0, 1, 2)


def test_whatever_its_names_an_experiment_stays_in_its_directory(tmp_path):
    names = ['../x', '..', '/etc', 'a/b', 'report.html', 'é', 'dqn']
    agents = '\n'.join(f"'{name}' = []" for name in names)
    text = GOOD.split('[agents]')[0].replace('short', "'report.html'") + f'[agents]\n{agents}'
    root = tmp_path / 'root'
    runs = load(tmp_path, text).runs(root)
    assert [run.agent for run in runs[:7]] == names and runs[0].environment == 'report.html'
    for run in runs:
        assert run.path.resolve().relative_to(root).parts == (*run.cell.split('/'), run.path.name)
        assert run.path.parents[1].name not in ('report.html', 'report.html.tmp')
    assert len({run.path for run in runs}) == len(runs) == 2 * 2 * 7
    assert len({run.cell for run in runs}) == len(load(tmp_path, text).definitions()) == 2 * 7
    assert runs[6].cell.endswith('/dqn')


def test_checking_a_file_imports_nothing(tmp_path, monkeypatch):
    package = tmp_path / 'evil_package'
    package.mkdir()
    (package / '__init__.py').write_text('raise SystemExit("imported")')
    (package / 'x.py').write_text('raise SystemExit("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    plan = load(tmp_path, GOOD.replace("'train_ddqn'", "'evil_package.x'"))
    assert plan.runs(tmp_path)[0].arguments[:2] == ('-m', 'evil_package.x')
    for missing in ('evil_package.y', 'evil_package.x.y', 'nowhere.x', '__main__.x', 'json.no.x'):
        with pytest.raises(UserError, match='must be one of'):
            load(tmp_path, GOOD.replace("'train_ddqn'", f"'{missing}'"))
    assert not {'evil_package', 'evil_package.x'} & sys.modules.keys()


BAD = {
    'no toml at all': 'is not valid TOML',
    GOOD + "dqn = ['train_ddqn.gamma = 0.9']": 'is not valid TOML: Cannot overwrite a value',
    GOOD + '[agents]': 'is not valid TOML: Cannot declare',
    GOOD.replace("'train_ddqn'", "'train_dqn'"): "program = 'train_dqn': must be one of",
    GOOD.replace("program = 'train_ddqn'", ''): 'program = None: must be one of',
    GOOD.replace('seeds = [3, 5]', 'seeds = 0'): 'seeds: must be 1 to 10_000, or a list',
    GOOD.replace('seeds = [3, 5]', 'seeds = []'): 'seeds: must be 1 to 10_000',
    GOOD.replace('seeds = [3, 5]', 'seeds = [3, 3]'): 'seeds: 3 appears 2 times',
    GOOD.replace('seeds = [3, 5]', 'seeds = [-1]'): 'whole numbers >= 0',
    GOOD.replace('seeds = [3, 5]', 'seeds = true'): 'seeds: must be',
    GOOD.replace('seeds = [3, 5]', ''): 'seeds: must be',
    GOOD.replace('seeds = ', 'sedes = '): "unknown key 'sedes'",
    GOOD.split('[agents]')[0]: '[agents] is missing or empty',
    GOOD.split('[agents]')[0] + '[agents]': '[agents] is missing or empty',
    GOOD.replace('double_dqn = []', "'' = []"): "agents: '' cannot be a name: it needs 1 to 100",
    GOOD.replace('double_dqn', '"a\\nb"'): r"agents: 'a\nb' cannot be a name: it needs 1 to 100",
    GOOD.replace('double_dqn', 'x' * 300): 'printable characters, and has 300',
    GOOD.replace('double_dqn = []', 'double_dqn = 1'): 'agents.double_dqn = 1: must be a list',
    GOOD.replace('double_dqn = []', "double_dqn = ['x']"): "agents.double_dqn = ['x']: must be",
    "metric = ['eval_mean']" + GOOD: "metric = ['eval_mean']: must be one of",
    GOOD.replace("'train_ddqn'", "'./train.py'"): "program = './train.py': must be one of",
    GOOD.replace("'train_ddqn'", "['train_ddqn']"): "program = ['train_ddqn']: must be one of",
    'claims = 5' + GOOD: 'claims: must be tables',
    GOOD + "[[claims]]\ntext = 'a'\nsuffers = ['dqn']\nendures = 'dqn'\nfrom = 'a'\nto = 'b'": (
        "claims: suffers = ['dqn']: must be a string"
    ),
    "metric = 'speed'" + GOOD: "metric = 'speed': must be one of",
    "x_axis = 'hours'" + GOOD: "x_axis = 'hours': must be one of ('env_steps', 'episodes')",
    "gin_file = 'nope.gin'" + GOOD: "gin_file = 'nope.gin' does not exist",
    'title = 5' + GOOD: 'title = 5: must be a string',
    GOOD + "[[claims]]\ntext = 'a'": 'claims: each has the keys',
    GOOD
    + "[[claims]]\ntext = 'a'\nsuffers = 'dqn'\nendures = 'ddqn'\nfrom = 'short'\nto = 'long'": (
        "claims: endures = 'ddqn': must be one of ('dqn', 'double_dqn')"
    ),
}


@pytest.mark.parametrize(('text', 'message'), BAD.items(), ids=BAD.values())
def test_a_bad_file_is_one_clear_line(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert message in str(error.value) and 'small.toml' in str(error.value)
    assert '\n' not in str(error.value)


def test_the_x_axis_is_env_steps_unless_the_file_says_otherwise(tmp_path):
    assert load(tmp_path).x_axis == 'env_steps'
    assert load(tmp_path, "x_axis = 'episodes'" + GOOD).x_axis == 'episodes'


def test_a_missing_file_names_the_shipped_ones(tmp_path):
    with pytest.raises(UserError, match='s2_noisy_cartpole.toml'):
        experiment.load('nope.toml')


def test_a_changed_cell_is_refused_and_a_new_one_is_not(tmp_path):
    plan = load(tmp_path)
    cells = {'short/dqn', 'short/double_dqn', 'long/dqn', 'long/double_dqn'}
    assert experiment.new_cells(plan, tmp_path) == cells
    experiment.keep(plan, tmp_path)
    assert experiment.new_cells(plan, tmp_path) == set()

    more = load(tmp_path, GOOD.replace('[3, 5]', '9') + "third = ['train_ddqn.n_step = 3']")
    assert experiment.new_cells(more, tmp_path) == {'short/third', 'long/third'}
    fewer = load(tmp_path, GOOD.replace('double_dqn = []', ''))
    assert experiment.new_cells(fewer, tmp_path) == set()
    experiment.keep(fewer, tmp_path)
    assert json_files.read(tmp_path / 'experiment.json', dict[str, list[str]]).keys() == cells

    for change, message in (
        (('= 600', '= 700'), 'num_env_steps = 600'),
        (('double_dqn = []', "double_dqn = ['a.b = 1']"), 'had no.*a.b = 1'),
    ):
        with pytest.raises(UserError, match=f'holds a different experiment: .*{message}'):
            experiment.new_cells(load(tmp_path, GOOD.replace(*change)), tmp_path)


def test_a_change_of_the_programs_own_gin_file_is_a_change(tmp_path, monkeypatch):
    own = tmp_path / 'own.gin'
    own.write_text('train_ddqn.gamma = 0.9\n')
    monkeypatch.setitem(experiment.PROGRAMS, 'train_ddqn', str(own))
    experiment.keep(load(tmp_path), tmp_path)
    own.write_text('train_ddqn.gamma = 0.8\n')
    with pytest.raises(UserError, match='a different experiment: .*gamma = 0.9'):
        experiment.new_cells(load(tmp_path), tmp_path)


@pytest.mark.parametrize('program', experiment.PROGRAMS)
def test_the_programs_own_gin_files(program):
    module = importlib.import_module(f'pipelines.{program}')
    assert module._RUN.gin_file.default == experiment.PROGRAMS[program]


def test_a_change_of_an_included_gin_file_is_a_change_and_a_new_comment_is_not(tmp_path):
    inner, outer = tmp_path / 'inner.gin', tmp_path / 'outer.gin'
    inner.write_text('train_ddqn.gamma = 0.9\n')
    outer.write_text(f"include '{inner}'\n")
    text = f"gin_file = '{outer}'" + GOOD
    experiment.keep(load(tmp_path, text), tmp_path)
    inner.write_text('# why\ntrain_ddqn.gamma = 0.9  # per env step\n')
    assert experiment.new_cells(load(tmp_path, text), tmp_path) == set()
    inner.write_text('train_ddqn.gamma = 0.8\n')
    with pytest.raises(UserError, match='train_ddqn.gamma = 0.9'):
        experiment.new_cells(load(tmp_path, text), tmp_path)


def test_the_example_that_compare_shows_is_what_its_labels_say(tmp_path):
    """dqn and double_dqn differ in `double` alone; neither is dueling or sums several rewards."""
    from pipelines import compare, settings

    example = compare.__doc__.split('An experiment file:')[1]
    plan = load(tmp_path, textwrap.dedent(example))
    assert plan.program == 'train_ddqn'
    own_file = str(files.existing_file(experiment.PROGRAMS[plan.program]))
    found = {}
    for run in plan.runs(tmp_path):
        flag = '--gin_bindings='
        bindings = [a.removeprefix(flag) for a in run.arguments if a.startswith(flag)]
        gin.clear_config()
        gin.parse_config_files_and_bindings([own_file], bindings, skip_unknown=True)
        dqn = settings.DdqnSettings()
        assert not dqn.dueling and dqn.n_step == 1 and dqn.target == 'hard'
        assert not dqn.noisy and not dqn.prioritised and dqn.distribution is None
        found[run.cell] = dqn.env_name, dqn.double
    assert found == {
        'cartpole/dqn': ('CartPole-v1', False),
        'cartpole/double_dqn': ('CartPole-v1', True),
        'acrobot/dqn': ('Acrobot-v1', False),
        'acrobot/double_dqn': ('Acrobot-v1', True),
    }


@pytest.mark.parametrize('path', SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_experiment_loads_by_name(path):
    plan = experiment.load(f'configs/experiments/{path.name}')
    assert plan.runs(pathlib.Path('runs'))


def test_dqn_and_double_dqn_differ_in_the_choice_of_the_action_alone():
    """With a target network for one of them, a comparison would not say what was better."""
    plans = [experiment.load(str(path)) for path in SHIPPED]
    pairs = [plan.agents for plan in plans if {'dqn', 'double_dqn'} <= plan.agents.keys()]
    assert pairs
    for agents in pairs:
        plain, double = (
            {binding.partition(' = ')[0]: binding.partition(' = ')[2] for binding in agents[name]}
            for name in ('dqn', 'double_dqn')
        )
        assert plain.pop('train_ddqn.double') == 'False'
        assert double.pop('train_ddqn.double') == 'True'
        assert plain == double and plain.get('train_ddqn.target') != "'none'"


@pytest.mark.parametrize('text', ['', '[]', 'null', '{"short/dqn": "a"}', '{"short/dqn": [1]}'])
def test_a_damaged_experiment_json_is_one_line(tmp_path, text):
    (tmp_path / 'experiment.json').write_text(text)
    with pytest.raises(UserError, match='experiment.json cannot be read: .*; delete it') as error:
        experiment.new_cells(load(tmp_path), tmp_path)
    assert '\n' not in str(error.value)


def test_a_run_with_a_damaged_summary_is_not_finished(tmp_path):
    run = load(tmp_path).runs(tmp_path)[0]
    assert not run.is_finished
    path = finished_run(run.path) / 'summary.json'
    assert run.is_finished
    path.write_text('{}')
    assert not run.is_finished
