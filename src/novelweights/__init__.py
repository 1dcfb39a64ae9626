"""novelweights: does your weight generator invent networks, or copy them?"""

import os

# Two OpenMP programs on one machine make each other wait at every barrier, hundreds of times a
# step; short spinning costs little when alone. It must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
