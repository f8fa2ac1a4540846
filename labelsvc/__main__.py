"""``python -m labelsvc``: the operator's door."""

from labelsvc.cli import main

if __name__ == "__main__":
    main()
