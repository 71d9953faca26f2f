"""The command line: `tap-analytics`, or `python -m tap_analytics`."""

from __future__ import annotations

import sys

from singer_sdk.exceptions import ConfigValidationError, FatalAPIError

from tap_analytics.messages import MessageWriter
from tap_analytics.tap import TapAnalytics


def main() -> None:
    """Run the tap, and end with one line and status 1 where a traceback would tell nothing."""
    try:
        TapAnalytics.cli()
    except ConfigValidationError as error:
        for line in error.errors:
            TapAnalytics.logger.error("%s", line)
    except FatalAPIError as error:
        TapAnalytics.logger.error("%s", error)
    finally:
        MessageWriter.flush()
    sys.exit(1)


if __name__ == "__main__":
    main()
