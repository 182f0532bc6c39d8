"""``python -m survfuse``, and the command ``survfuse``."""

import signal


def main() -> None:
    """Load the command line and run it; Ctrl-C while it loads ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from survfuse.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
