"""`python -m ocs` is `ocs`."""

from ocs.cli import main

if __name__ == "__main__":
    main()
