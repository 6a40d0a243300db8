"""`python -m regbench`, and the command `regbench`."""

import os
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; until that is loaded, Ctrl-C ends the process without a word."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's for the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for name in [name for name, text in os.environ.items() if not text]:
        if not name.endswith("_VISIBLE_DEVICES"):  # of which none is something else than all
            del os.environ[name]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # where it may not start more, it interrupts
    from regbench.process import open_streams

    open_streams()
    from regbench import cli

    cli.main()


if __name__ == "__main__":
    main()
