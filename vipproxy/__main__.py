"""`python -m vipproxy`."""

import sys

from vipproxy.cli import main

sys.exit(main())
