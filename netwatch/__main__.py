"""`python -m netwatch` is the command `netwatch`."""

from netwatch.cli.start import run

if __name__ == "__main__":
    run()
