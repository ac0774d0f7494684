"""`python -m skerry_hub` is `skerry`."""

import sys

from skerry_hub.cli import main

sys.exit(main())
