"""The programs, and everything they share.

    train_ddqn  train_reinforce  evaluate  compare  tutorials     the programs
    assembly      builds a run from its settings
    posts/        the tutorials: their experiments, and a page about each
    comparison/   runs experiments and compares finished runs
    runs/         a run's directory: progress, checkpoints, exported policies, summary
    loops/        collecting, training and evaluating
    experience/   the replay, and the queue of whole episodes
    settings  cli  exits  gin_config  declared  vocabulary  imports  errors  files  json_files
    file_names  startup  signals  console  outputs  namespaces  network  sandbox  native_noise
    protocols     used by all

A module imports only from its own line and the lines below. The messages that TensorFlow,
Gym and Reverb print at import and at start-up are silenced here. Set TF_CPP_MIN_LOG_LEVEL to
see TensorFlow's.
"""

import os
import sys
import warnings

from pipelines import startup

if startup.is_program():
    startup.begin()

try:
    from absl import logging
except ModuleNotFoundError:
    print(
        f'error: {sys.executable} lacks packages that this project needs: activate its '
        'environment (source .venv/bin/activate), or install the project (see README.md)',
        file=sys.stderr,
    )
    raise SystemExit(2) from None

if _words := startup.what_hides_ours():
    print(f'error: {_words}', file=sys.stderr)
    raise SystemExit(2)

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# The branches of a train step are independent (states and next states, two networks, two
# streams). Two operations at a time on half of the cores each are faster than one at a time on
# all of them, where the threads wait for each other in every operation.
_CORES = len(os.sched_getaffinity(0))
THREADS_ARE_CHOSEN = 'TF_NUM_INTRAOP_THREADS' in os.environ  # by the user, not here
os.environ.setdefault('TF_NUM_INTEROP_THREADS', '2')
os.environ.setdefault('TF_NUM_INTRAOP_THREADS', str(max(1, _CORES // 2)))
os.environ.setdefault('PYGAME_HIDE_SUPPORT_PROMPT', '1')
os.environ.setdefault('SDL_VIDEODRIVER', 'dummy')  # pictures are recorded, not shown
os.environ.setdefault('SDL_AUDIODRIVER', 'dummy')
warnings.filterwarnings('ignore', category=SyntaxWarning)  # TF-Agents' `is not ()`
logging.set_verbosity(logging.ERROR)  # PolicySaver warns that a greedy policy has no distribution

try:  # gym comes with tf-agents, is never used here, and prints an appeal when imported
    from gym_notices import notices
except ImportError:
    pass
else:
    notices.notices.clear()
