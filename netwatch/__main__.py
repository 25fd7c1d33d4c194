"""`python -m netwatch` is the command `netwatch`."""

from netwatch.cli.entrypoint import run

if __name__ == "__main__":
    run()
