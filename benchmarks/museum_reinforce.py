"""`train_reinforce` with one of the tutorials' mistakes put back in: see `museum`."""

import sys

from benchmarks import museum
from pipelines import train_reinforce

if __name__ == '__main__':
    sys.exit(museum.main(train_reinforce))
