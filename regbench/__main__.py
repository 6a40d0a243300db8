"""`python -m regbench`."""

from regbench.cli import main

if __name__ == "__main__":
    main()
