"""``python -m bulkhead.cli``."""

import sys

from bulkhead.cli.main import main

sys.exit(main())
