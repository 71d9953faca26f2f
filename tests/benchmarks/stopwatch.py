"""Times one command, from a process that is smaller than anything that is measured.

A process starts with the memory of its parent on its account, so the parent has to be small.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter


def main() -> None:
    """Run a command and write down what it has taken.

    The arguments are a file to write to, and the command. Into the file go the exit code, the
    seconds from start to end, the seconds of processor time, and the peak of memory in the
    system's unit.
    """
    path, *command = sys.argv[1:]
    start = perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    seconds = perf_counter() - start
    with open(path, "w", encoding="utf-8") as result:  # noqa: PTH123 - pathlib is not small
        result.write(
            f"{os.waitstatus_to_exitcode(status)} {seconds} "
            f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}"
        )


if __name__ == "__main__":
    main()
