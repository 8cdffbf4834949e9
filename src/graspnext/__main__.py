"""`python -m graspnext` is the command `graspnext`."""

import sys

from graspnext.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
