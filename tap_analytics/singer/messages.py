"""Singer messages, written in blocks.

The SDK's writers flush after each message: a system call per record, at which threads that wait
for the interpreter take it away. Here messages gather in the buffer of standard output, and are
flushed with each STATE message: a target that confirms a state has been given all records that it
stands for.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from threading import Timer

import msgspec
from singer_sdk.singerlib import Message, StateMessage
from singer_sdk.singerlib.encoding import GenericSingerWriter

from tap_analytics._compat import override


def _text(value: object) -> str:
    """Spell what JSON has no form for, as the SDK does."""
    return value.isoformat(sep="T") if isinstance(value, datetime) else str(value)


_encoder = msgspec.json.Encoder(enc_hook=_text, decimal_format="number")


BLOCK = 64 * 1024
"""The size, in bytes, of the buffer that standard output should have."""

PATIENCE = 0.6
"""How long, in seconds, the end waits for a target that does not read."""

logger = logging.getLogger(__name__)


class MessageWriter(GenericSingerWriter[bytes, Message]):
    """Writes Singer messages to standard output, one JSON text a line."""

    _is_writing = False
    _status: int | None = None

    @override
    def serialize_message(self, message: Message) -> bytes:
        """Encode a message.

        Args:
            message: Any Singer message. Integers and decimals in it keep every digit.

        Returns:
            A line of JSON in UTF-8, without its end.
        """
        return _encoder.encode(message.to_dict())

    @override
    def write_message(self, message: Message) -> None:
        """Write a message; a STATE message is flushed with all that came before it.

        Args:
            message: Any Singer message.

        Raises:
            SystemExit: If the target has gone, with status 1; or after `end`.
        """
        line = self.format_message(message) + b"\n"
        output = sys.stdout.buffer
        self._is_writing = True
        try:
            output.write(line)
            if isinstance(message, StateMessage):
                output.flush()
        except BrokenPipeError:
            logger.warning("The target has gone, and so does the tap")
            # What is left in the buffer is dropped, or the interpreter would complain of it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        finally:
            self._is_writing = False
        if self._status is not None:
            sys.exit(self._status)

    def end(self, status: int) -> None:
        """End the process, but not in the middle of a line. For signal handlers.

        Args:
            status: The exit status. If the target does not read what there is to be written, the
                process ends with it after `PATIENCE` all the same.

        Raises:
            SystemExit: At once, or as soon as the line has been written.
        """
        last_resort = Timer(PATIENCE, os._exit, (status,))
        last_resort.daemon = True
        last_resort.start()
        self._status = status
        if not self._is_writing:
            sys.exit(status)
