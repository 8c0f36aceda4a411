"""``python -m bulkhead.cli``."""

import sys

from bulkhead.cli import main

sys.exit(main())
