"""Each tutorial is found by its title; its file says what is there."""

import ast
import collections
import re

import pytest

from benchmarks import museum, museum_reinforce
from pipelines import files
from pipelines.comparison import experiment
from pipelines.errors import UserError
from pipelines.posts import catalogue, page
from tests import docs_markdown
from tests.pipelines.posts.fake_experiments import TUTORIALS, tutorial

ROOT = files.PACKAGE_DIR.parent
every_tutorial = pytest.mark.parametrize('one', TUTORIALS, ids=lambda one: one.name)


def words_of(title):
    return re.findall(r'[\w.]+', title.lower())


def parts_of(title):
    """Every run of words in it: single words, pairs, ... the whole title."""
    words = words_of(title)
    ends = range(1, len(words) + 1)
    return {' '.join(words[i:j]) for j in ends for i in range(j)}


COUNTS = collections.Counter(part for one in TUTORIALS for part in parts_of(one.title))


def test_there_are_the_five_posts_and_the_two_that_they_point_to():
    assert [one.number for one in TUTORIALS] == list(range(1, 8))
    posts = [link.text for link in docs_markdown.links(docs_markdown.README)]
    for one in TUTORIALS[:5]:
        assert one.title in posts, one.title


@every_tutorial
def test_it_is_found_by_every_word_and_part_that_no_other_title_has(one):
    unique = [part for part in parts_of(one.title) if COUNTS[part] == 1]
    assert len(unique) > 1
    # All words of the first title are in others, too; 'gradient reinforcement' is not.
    assert any(' ' not in part for part in unique) or one.name == 'reinforce_cartpole'
    for part in unique:
        for form in (part, part.upper(), f' {part} ', part.replace(' ', '-')):
            assert catalogue.find(form, TUTORIALS) == one, form


@every_tutorial
def test_it_is_found_by_number_title_name_and_hyphens(one):
    forms = [str(one.number), one.title, one.title.upper(), one.title.replace(' ', '-'), one.name,
             one.name.replace('_', '-'), f"'{one.title}'"]  # fmt: skip
    for form in forms:
        assert catalogue.find(form, TUTORIALS) == one, form


@pytest.mark.parametrize(
    ('which', 'name'),
    [
        ('double-q', 'double_q'), ('Double Q', 'double_q'), ('space-invaders', 'space_invaders'),
        ('minimal', 'continuous_policy_gradients'), ('gaussian', 'continuous_policy_gradients'),
        ('basic', 'two_heads'), ('a3c', 'two_heads'), ('two-heads', 'two_heads'),
        ('dueling-cartpole', 'dueling_cartpole'), ('prioritised', 'space_invaders_prioritised'),
        ('policy-gradient-rein', 'reinforce_cartpole'), ('invad', 'space_invaders'),
        ('2.0', 'continuous_policy_gradients'), ('2', 'double_q'), ('atari', 'space_invaders'),
    ],
)  # fmt: skip
def test_parts_of_titles_and_words_of_systems_find_it(which, name):
    assert catalogue.find(which, TUTORIALS) == tutorial(name)


@pytest.mark.parametrize(
    ('which', 'numbers'),
    [
        ('dueling', [3, 6]), ('tensorflow 2', [1, 2, 3]), ('policy gradient', [1, 5]), ('q', None),
        ('reinforcement-learning', [1, 2]), ('pong', range(1, 8)), ('8', range(1, 8)),
        ('', range(1, 8)), ('double pong', range(1, 8)),
    ],
)  # fmt: skip
def test_what_is_ambiguous_or_unknown_lists_the_candidates_in_one_line(which, numbers):
    with pytest.raises(UserError) as raised:
        catalogue.find(which, TUTORIALS)
    message = str(raised.value)
    assert '\n' not in message and which in message
    named = [one.number for one in TUTORIALS if f'{one.number} {one.title}' in message]
    assert len(named) > 1 if numbers is None else named == list(numbers)


def test_the_list_fits_a_terminal_and_says_everything():
    lines = catalogue.in_lines(TUTORIALS)
    assert max(map(len, lines)) <= 80
    text = ' '.join(' '.join(lines).split())
    for one in TUTORIALS:
        assert f'{one.number} {one.title} builds {one.system}' in text
        assert one.outcome in text and catalogue.duration(one.minutes) in text


@every_tutorial
def test_the_sections_name_files_and_functions_that_are_there(one):
    assert len(one.sections) >= 3
    for section in one.sections:
        nodes = [ast.parse((ROOT / section.file).read_text())]
        for part in section.function.split('.'):
            nodes = [child for node in nodes for child in ast.iter_child_nodes(node)
                     if getattr(child, 'name', None) == part]  # fmt: skip
            assert nodes, f'{section.file} has no {section.function}'


@every_tutorial
def test_the_mistakes_are_in_the_museum_and_their_prices_in_the_results(one):
    anchors = docs_markdown.anchors(ROOT / 'docs/results.md')
    exhibits = {*museum.MISTAKES, *getattr(museum_reinforce, 'MISTAKES', {})}
    assert one.mistakes
    for mistake in one.mistakes:
        assert not mistake.museum or mistake.museum in exhibits, mistake.museum
        assert not mistake.results or mistake.results in anchors, mistake.results


@every_tutorial
def test_its_experiment_is_there_and_the_shorter_form_is_shorter(one):
    plan, quick = one.plan(quick=False), one.plan(quick=True)
    assert len(quick.seeds) < len(plan.seeds) or len(plan.seeds) == 1
    assert quick.bindings == (*plan.bindings, *one.quick_bindings) and one.quick_bindings
    assert experiment.load(one.experiment_file).definitions() == plan.definitions()
    assert one.quick_minutes <= 3 and one.figure in page.FIGURES
    assert plan.gin_file and plan.gin_file.endswith('_tutorial.gin')


@every_tutorial
def test_its_constants_are_in_the_table(one):
    assert one.constants()


@every_tutorial
def test_its_commands_are_commands(one):
    for command in one.commands:
        program, *rest = command.split()
        assert program in ('python', 'tensorboard')
        for argument in rest:
            name, _, value = argument.partition('=')
            if name == '--gin_file':
                assert files.existing_file(value), command


def test_the_issue_that_each_text_is_a_readers(capsys):
    """No text of a page has the project's inner names: a number for a mistake, or S and a digit."""
    for path in (*catalogue.DIRECTORY.glob('*.toml'), *ROOT.glob('pipelines/posts/*.py')):
        assert not re.search(r'\bS[1-8]\b|\bmuseum \d', path.read_text()), path
