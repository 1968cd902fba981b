"""Runs read back episode by episode, while they are being written too."""

import numpy as np
import pytest

from pipelines.errors import UserError
from pipelines.posts import cells
from tests.pipelines.posts.fake_experiments import rising, tutorial, write_run


@pytest.fixture
def runs(tmp_path):
    return tutorial('reinforce_cartpole').plan(quick=False).runs(tmp_path)


def test_the_finished_runs_of_a_cell_are_shown_by_seed(runs):
    write_run(runs[3], rising(runs[3], 20))
    write_run(runs[1], rising(runs[1], 30))
    write_run(runs[2], rising(runs[2], 40), finished=False)
    (cell,) = cells.read(runs)
    assert [run.seed for run in cell.runs] == [1, 3]
    assert cell.is_finished and cell.num_episodes == 20
    assert cell.matrix('length').shape == (2, 20)
    assert cell.matrix('length')[1].tolist() == rising(runs[3], 20).tolist()
    assert cell.window('length', 2, 3).tolist() == [[13.5], [15.5]]
    assert cell.window('length', 2, 21) is None
    assert cell.last('length', 1).tolist() == [[41.0], [33.0]]


def test_where_none_is_finished_those_that_have_begun_are_shown(runs):
    write_run(runs[0], rising(runs[0], 5), finished=False)
    write_run(runs[1], [], finished=False)  # only the head of the file is there
    (cell,) = cells.read(runs)
    assert [run.seed for run in cell.runs] == [0] and not cell.is_finished
    assert cells.read(runs[1:]) == []


def test_a_row_that_is_being_written_is_left_out_and_an_empty_field_is_nan(tmp_path):
    path = tmp_path / 'episodes.csv'
    path.write_text('episode,avg_loss\n1,\n2,0.5\n3,0.')
    columns = cells.read_columns(path)
    assert columns['episode'].tolist() == [1.0, 2.0]
    assert np.isnan(columns['avg_loss'][0]) and columns['avg_loss'][1] == 0.5
    path.write_text('episode,avg_loss')
    assert cells.read_columns(path) == {}
    assert cells.read_columns(tmp_path / 'missing.csv') == {}


@pytest.mark.parametrize(
    'text', ['episode,length\n1,x\n', 'episode,length\n1\n', '\0\n1,2\n', '\n1\n']
)
def test_a_damaged_file_is_one_line(tmp_path, text):
    path = tmp_path / 'episodes.csv'
    path.write_text(text)
    with pytest.raises(UserError, match='episodes.csv cannot be read: ') as error:
        cells.read_columns(path)
    assert '\n' not in str(error.value)


def test_an_empty_one_has_nothing_yet(tmp_path):
    for text in ('', 'episode'):
        (tmp_path / 'episodes.csv').write_text(text)
        assert cells.read_columns(tmp_path / 'episodes.csv') == {}
