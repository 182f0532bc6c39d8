"""``python -m survfuse``."""

from survfuse.cli import main

if __name__ == "__main__":
    main()
