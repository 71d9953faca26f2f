"""The command line: `tap-analytics`, or `python -m tap_analytics`."""

from __future__ import annotations

import gc
import io
import sys
from contextlib import suppress

# What is imported stays, and records are freed when they have been written: to look for garbage as
# often as Python does by default takes a quarter of the time, and finds next to none.
gc.disable()

from singer_sdk.exceptions import ConfigValidationError  # noqa: E402

from tap_analytics.exceptions import IncompleteSyncError  # noqa: E402
from tap_analytics.log.wording import one_line  # noqa: E402
from tap_analytics.singer.messages import BLOCK  # noqa: E402
from tap_analytics.tap import TapAnalytics  # noqa: E402

gc.freeze()
gc.set_threshold(50_000, 20, 100)
gc.enable()


def main() -> None:
    """Run the tap; what goes wrong is told in one line, with a traceback at log level DEBUG."""
    # Also where PYTHONUNBUFFERED is set, as in many containers: there, a write to a pipe may even
    # be cut short. What has no descriptor has been put there by who calls this.
    with suppress(io.UnsupportedOperation):
        sys.stdout = open(  # noqa: SIM115 - until the process ends
            sys.stdout.fileno(), "w", buffering=BLOCK, encoding="utf-8", closefd=False
        )
    try:
        TapAnalytics.cli()
    except ConfigValidationError as error:
        for line in error.errors:
            TapAnalytics.logger.error("%s", line)
    except IncompleteSyncError as error:
        for line in error.failures:
            TapAnalytics.logger.error("%s", line)
    except Exception as error:  # noqa: BLE001 - there is nobody else to tell
        TapAnalytics.logger.error("%s: %s", type(error).__name__, one_line(str(error)))
        TapAnalytics.logger.debug("This is where it happened", exc_info=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
