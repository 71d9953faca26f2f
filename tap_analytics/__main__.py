"""The command line: `tap-analytics`, or `python -m tap_analytics`."""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
from contextlib import suppress

# Reference counting frees records. Running the cycle collector at Python's default frequency costs
# a quarter of the run time and finds almost nothing.
gc.disable()

INTERRUPTED = 130
"""What a shell makes of SIGINT."""

try:
    # It takes a second until the tap has handlers of its own.
    from singer_sdk.exceptions import ConfigValidationError

    from tap_analytics.exceptions import IncompleteSyncError
    from tap_analytics.log.protection import protect_log
    from tap_analytics.log.wording import one_line
    from tap_analytics.singer.messages import open_output
    from tap_analytics.tap import TapAnalytics
except KeyboardInterrupt:
    raise SystemExit(INTERRUPTED) from None

gc.freeze()
gc.set_threshold(50_000, 20, 100)
gc.enable()


def main() -> None:
    """Run the tap. An error is one line in the log, with a traceback at log level DEBUG.

    Raises:
        SystemExit: Always, with the exit status.
    """
    protect_log()
    if problem := _find_problem():
        TapAnalytics.logger.error("%s", problem)
        sys.exit(1)
    # PYTHONUNBUFFERED, which many containers set, would turn the buffer off, and a write to a pipe
    # might even be cut short. A standard output without a descriptor belongs to the caller.
    with suppress(io.UnsupportedOperation):
        sys.stdout = open_output(sys.stdout.fileno())
    try:
        _run()
    except KeyboardInterrupt:
        # Before a sync begins. From then on a handler ends it, see `tap_analytics.singer.signals`.
        sys.exit(INTERRUPTED)
    finally:
        # The interpreter would only complain if this fails.
        sys.stdout.flush()


def _run() -> None:
    try:
        TapAnalytics.cli()
    except ConfigValidationError as error:
        for line in error.errors:
            TapAnalytics.logger.error("%s", line)
    except IncompleteSyncError as error:
        for line in error.failures:
            TapAnalytics.logger.error("%s", line)
    except Exception as error:  # noqa: BLE001 - the last place that can report it
        TapAnalytics.logger.error("%s: %s", type(error).__name__, one_line(str(error)))
        TapAnalytics.logger.debug("This is where it happened", exc_info=True)
    sys.exit(1)


def _find_problem() -> str | None:
    """Return why the tap can't run, or None."""
    # Python has no object for a descriptor that is closed, though its type says so.
    if getattr(sys, "stdout", None) is None:
        return "Standard output is closed"
    variables = [name for name in ("TAP_ANALYTICS_LOGLEVEL", "LOGLEVEL") if os.environ.get(name)]
    for variable in variables[:1]:
        level = os.environ[variable]
        if level.upper() not in logging.getLevelNamesMapping():
            levels = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
            return f"The environment variable {variable} must be {levels}: {level!r}"
    return None


if __name__ == "__main__":
    main()
