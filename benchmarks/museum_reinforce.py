"""`train_reinforce` with one mistake of the tutorials put back in: see `museum`."""

import sys

from benchmarks import museum
from pipelines import train_reinforce

if __name__ == '__main__':
    sys.exit(museum.main(train_reinforce))
