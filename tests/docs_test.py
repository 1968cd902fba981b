"""README.md and docs/: links resolve, commands and bindings exist, copied numbers are the results'.

The commands themselves are run by `docs_commands`, which `.ci/run` starts.
"""

import ast
import importlib
import pathlib
import pkgutil
import re
import shlex
import tomllib

import gin
import pytest

from pipelines import files
from pipelines.posts import catalogue, page
from tests import docs_commands, docs_markdown
from tests.docs_markdown import DOCUMENTS, README, ROOT

RESULTS = ROOT / 'docs/results.md'
MUSEUM = ROOT / 'docs/museum.md'
MISTAKES = re.findall(r'^## (\w+)$', MUSEUM.read_text(), re.MULTILINE)
every_mistake = pytest.mark.parametrize('mistake', MISTAKES)
# What docs/extend.md has its reader write, and does not show.
TO_BE_WRITTEN = {'tests/agents/expected_sarsa_test.py'}
every_document = pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)


def test_the_readme_is_short_and_in_order():
    text = README.read_text()
    assert len(text.splitlines()) <= 180
    headings = re.findall(r'^## (.+)$', docs_markdown.prose(README), re.MULTILINE)
    assert headings == [
        'Quick start', 'What you will see', 'I come from a tutorial', 'Algorithms',
        'Your own environment', 'Use the policy', 'Compare fairly', 'It does not learn',
        'How long, on what', 'Results', 'From a step to a policy', 'What it is not',
    ]  # fmt: skip
    first = docs_markdown.links(README)[0]
    assert first.is_picture and first.target.endswith('.gif')  # the film comes first


@every_document
def test_every_link_and_picture_is_there(document):
    for link in docs_markdown.links(document):
        target, _, fragment = link.target.partition('#')
        if target.startswith('http'):
            assert re.fullmatch(r'https?://[\w./-]+', target), target
            continue
        path = (document.parent / target).resolve() if target else document
        assert path.exists() and path.is_relative_to(ROOT), link.target
        if fragment:
            assert fragment in docs_markdown.anchors(path), link.target


@every_document
def test_every_picture_says_what_it_shows(document):
    for link in docs_markdown.links(document):
        if link.is_picture:
            assert len(link.text.split()) >= 5, link.target


@every_document
def test_every_block_says_its_language_and_python_compiles(document):
    for block in docs_markdown.blocks(document):
        assert block.language in ('bash', 'text', 'python', 'toml', 'gin'), block.text
        if block.language == 'python':
            compile(block.text, str(document), 'exec')


@every_document
def test_copied_numbers_are_those_of_the_results(document):
    for text, sections in docs_markdown.copied_results(document):
        measured = set()
        for name in sections:
            measured |= docs_markdown.numbers(docs_markdown.section(RESULTS, name))
        assert docs_markdown.numbers(text), f'no number in {text!r}'
        assert docs_markdown.numbers(text) <= measured, text


def test_the_readmes_results_are_copied():
    """Each row of its tables of algorithms and of results, and each proof, has its mark."""
    proofs = re.findall(r'^- \*\*.+$', README.read_text(), re.MULTILINE)
    assert len(proofs) == 5
    for name in ('algorithms', 'results'):
        table = [row for row in docs_markdown.section(README, name).split('\n') if row[:1] == '|']
        proofs += table[2:]
    assert len(proofs) > 20
    for line in proofs:
        assert '<!-- results: ' in line, line


@pytest.mark.parametrize('tutorial', catalogue.load_all(), ids=lambda tutorial: tutorial.name)
def test_the_constants_of_each_tutorial_are_those_of_its_configuration(tutorial):
    """The table that `constants_test` holds the configurations against."""
    assert page.constants_table(tutorial) in (ROOT / 'docs/tutorials.md').read_text()


def test_the_tutorials_results_are_copied():
    """Each row of what a post published, beside ours."""
    tables = docs_markdown.prose(ROOT / 'docs/tutorials.md').split(
        '| published | ours |\n|---|---|'
    )
    rows = [row for table in tables[1:] for row in table.partition('\n\n')[0].strip().split('\n')]
    assert len(rows) > 8
    for row in rows:
        assert '<!-- results: ' in row, row


def test_the_museum_lists_every_mistake_once_and_has_all_exhibits():
    from benchmarks import museum

    listed = re.findall(r'^\| \[`(\w+)`\]', MUSEUM.read_text(), re.MULTILINE)
    assert listed == MISTAKES and len(set(listed)) == len(listed)
    assert museum.MISTAKES.keys() <= set(MISTAKES)
    for file in ('museum.toml', 'museum_reinforce.toml'):
        plan = tomllib.loads((ROOT / 'benchmarks' / file).read_text())
        labels = {label for label in plan['agents'] if not label.startswith('right')}
        assert labels and labels <= set(MISTAKES), labels


@every_mistake
def test_each_mistake_of_the_museum_has_its_place_symptom_and_cost(mistake):
    section = docs_markdown.section(MUSEUM, mistake)
    parts = re.findall(r'^\*\*([A-Z][\w ]+)\*\*', section, re.MULTILINE)
    assert parts == ['Where', 'What it does', 'How to notice it', 'Cost', 'Held by']
    assert '```python' in section.partition('**How to notice it**')[2].partition('**Cost**')[0]
    cost = section.partition('**Cost**: ')[2]
    assert '<!-- results: ' in cost or cost.startswith('not measured'), cost
    is_exhibit = re.search(rf'^\| .*\(#{mistake}\).* exhibit \|$', MUSEUM.read_text(), re.MULTILINE)
    assert bool(is_exhibit) == ('<!-- results: what-each-mistake-costs -->' in cost)


@every_mistake
def test_each_test_that_holds_a_mistake_is_there(mistake):
    held = docs_markdown.section(MUSEUM, mistake).partition('**Held by**')[2]
    tests = re.findall(r'`(tests/[\w/]+_test\.py)::(test_\w+)`', held)
    assert tests and len(tests) == held.count('::')
    for file, name in tests:
        body = ast.parse((ROOT / file).read_text()).body
        assert name in [getattr(node, 'name', None) for node in body], f'{file}::{name}'


@every_document
def test_every_file_named_exists(document):
    named = set(re.findall(r'(?<![\w/.])[a-z_]+(?:/\w+)+\.(?:py|gin|toml)\b', document.read_text()))
    written = TO_BE_WRITTEN | docs_markdown.files_of_the_reader().keys()
    for name in named - written:
        assert files.existing_file(str(ROOT / name)) or files.existing_file(name), name


def test_the_way_from_a_step_to_a_policy_is_eight_files_and_two():
    (block,) = [
        block
        for block in docs_markdown.blocks(README)
        if block.language == 'text' and 'envs/gymnasium_env.py' in block.text
    ]
    stops = [line.split()[0] for line in block.text.splitlines()]
    assert stops == [
        'envs/gymnasium_env.py',
        'pipelines/loops/rollout.py',
        'pipelines/loops/collector.py',
        'pipelines/experience/replay.py',
        'pipelines/loops/learner.py',
        'pipelines/experience/minibatches.py',
        'agents/ddqn.py',
        'agents/q_network.py',
        'pipelines/runs/session.py',
        'pipelines/runs/export.py',
    ]


def test_every_command_is_run_or_has_a_reason_not_to_be():
    known = [*docs_commands.run_commands(), *docs_commands.not_run_commands()]
    assert sorted(known) == sorted(docs_markdown.all_commands())  # each once


PROGRAMS = [c for c in docs_markdown.all_commands() if c.startswith('python -m')]


def _flags_of(module: str, capsys) -> set[str]:
    """The program's flags, as its --help says; of benchmarks, which share absl's, its source."""
    if module.startswith('pipelines.'):
        assert importlib.import_module(module).main(['program', '--help']) == 0
        return set(re.findall(r'^  --(\w+)$', capsys.readouterr().out, re.MULTILINE))
    source = (ROOT / (module.replace('.', '/') + '.py')).read_text()
    return set(re.findall(r"DEFINE_\w+\(\s*'(\w+)'", source))


@pytest.mark.parametrize('command', PROGRAMS, ids=str)
def test_every_program_flag_and_gin_file_exists(command, capsys):
    _, _, module, *arguments = shlex.split(command)
    defined = _flags_of(module, capsys)
    assert defined
    written = docs_markdown.files_of_the_reader()
    if module == 'pipelines.tutorials' and arguments:
        verb, name, *arguments = arguments
        assert verb in ('run', 'page') and catalogue.find(name, catalogue.load_all()), name
    for argument in arguments:
        name, equals, value = argument.partition('=')
        assert name.startswith('--') and equals and name[2:] in defined, argument
        if name in ('--gin_file', '--experiment'):
            assert value in written or files.existing_file(value), argument


@pytest.fixture(scope='module')
def every_configurable():
    """Imports all that gin can configure, the documents' own examples too."""
    import agents
    import envs
    import pipelines

    for package in (agents, envs, pipelines):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
            importlib.import_module(module.name)
    for path in (ROOT / 'examples').glob('own_*.py'):
        importlib.import_module(f'examples.{path.stem}')
    for document in DOCUMENTS:
        for block in docs_markdown.blocks(document):
            if block.language == 'python' and '@gin.configurable' in block.text:
                exec(compile(block.text, str(document), 'exec'), {'__name__': document.stem})


def _bindings(document) -> list[str]:
    """Every gin binding that the document shows, whole ('a.b = 1') or by name ('a.b')."""
    found = docs_markdown.code_spans(document)
    for block in docs_markdown.blocks(document):
        if block.language == 'gin':
            found += [line.split('#')[0].strip() for line in block.text.splitlines()]
        elif block.language == 'toml':
            found += re.findall(r"""['"]([\w/]+\.\w+ = .+?)['"](?=[,\]])""", block.text)
    for command in docs_markdown.commands(document):
        found += re.findall(r'--gin_bindings=(.+)', '\n'.join(shlex.split(command)))
    return found


def _is_configurable(name: str) -> bool:
    try:
        gin.get_configurable(name)
    except ValueError:
        return False
    return True


@every_document
def test_every_binding_names_a_parameter(document, every_configurable):
    for binding in _bindings(document):
        name, equals, value = binding.partition(' = ')
        if not re.fullmatch(r'(\w+/)?\w+\.[a-z_]\w*', name) or name.endswith('.py'):
            continue  # not a binding, but a file, say
        configurable = name.rpartition('.')[0].rpartition('/')[2]
        if equals:
            gin.parse_config(f'{name} = {value}')  # raises for a parameter that is not one
        elif _is_configurable(configurable):
            gin.parse_config(f'{name} = None')
    gin.clear_config()


def test_the_experiment_in_the_readme_can_be_loaded(tmp_path, monkeypatch):
    from pipelines.comparison import experiment

    (block,) = [block for block in docs_markdown.blocks(README) if block.language == 'toml']
    monkeypatch.chdir(tmp_path)
    pathlib.Path(block.file_name).write_text(block.text)
    plan = experiment.load(block.file_name)
    assert list(plan.agents) == list(tomllib.loads(block.text)['agents'])


def test_the_label_of_each_agent_in_the_readme_is_true(every_configurable):
    """A 'dqn' is neither double nor dueling nor n-step, on top of the shipped configuration."""
    (block,) = [block for block in docs_markdown.blocks(README) if block.language == 'toml']
    for label, bindings in tomllib.loads(block.text)['agents'].items():
        gin.clear_config()
        gin.parse_config_file(str(files.PACKAGE_DIR / 'configs/ddqn_cartpole.gin'))
        for binding in bindings:
            gin.parse_config(binding)
        bound = {name: gin.query_parameter(f'train_ddqn.{name}') for name in ('double', 'dueling')}
        assert bound['double'] == ('double' in label), label
        assert bound['dueling'] == ('dueling' in label), label
        n_step = gin.query_parameter('train_ddqn.n_step')
        assert n_step == (3 if '3_step' in label else 1), label
    gin.clear_config()


def test_the_citation_has_what_the_format_requires():
    text = (ROOT / 'CITATION.cff').read_text()
    keys = re.findall(r'^([a-z-]+):', text, re.MULTILINE)
    assert {'cff-version', 'message', 'title', 'authors', 'license', 'version'} <= set(keys)
    setup = (ROOT / 'setup.cfg').read_text()
    version = re.search(r'^version = (.+)$', setup, re.MULTILINE)[1]
    assert f'version: {version}' in text
