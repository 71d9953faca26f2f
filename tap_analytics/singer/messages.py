"""Singer messages, written in blocks.

The SDK's writers flush after each message. That is a system call per record, and at each one the
interpreter turns to another thread. Here messages gather in the buffer of standard output, and each
STATE message flushes them: a target that confirms a state has received all records before it.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import fields
from io import BufferedWriter, FileIO, TextIOWrapper
from threading import Timer
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import encoder
from singer_sdk.singerlib import Message, SchemaMessage, StateMessage
from singer_sdk.singerlib.encoding import GenericSingerWriter

from tap_analytics._compat import override

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 64 * 1024
"""The size, in bytes, of the buffer of standard output."""

PATIENCE = 0.6
"""Seconds that the end of the process waits for a target that does not read."""

logger = logging.getLogger(__name__)


class MessageWriter(GenericSingerWriter[bytes, Message]):
    """Writes Singer messages to standard output, one JSON text per line."""

    _is_writing = False
    _status: int | None = None

    @override
    def serialize_message(self, message: Message) -> bytes:
        """Encode a message.

        Args:
            message: Any Singer message. Its integers and decimals keep every digit.

        Returns:
            A line of JSON in UTF-8, without the end of the line.
        """
        if isinstance(message, SchemaMessage | StateMessage):
            # `to_dict` would copy the whole schema, or the bookmarks of all accounts, first.
            values = ((field.name, getattr(message, field.name)) for field in fields(message))
            return encoder.encode({name: value for name, value in values if value is not None})
        return encoder.encode(message.to_dict())

    @override
    def write_message(self, message: Message) -> None:
        """Write a message. A STATE message also flushes all messages before it.

        Args:
            message: Any Singer message.

        Raises:
            SystemExit: After `end`, or with status 1 if the output can't be written.
        """
        line = self.serialize_message(message) + b"\n"
        output = sys.stdout.buffer
        self._is_writing = True
        try:
            output.write(line)
            if isinstance(message, StateMessage):
                output.flush()
        finally:
            self._is_writing = False
        if self._status is not None:
            sys.exit(self._status)

    def end(self, status: int) -> None:
        """End the process, but not in the middle of a line. For signal handlers.

        Args:
            status: The exit status. If the target does not read the rest of the output, the
                process ends with this status after `PATIENCE` nevertheless.

        Raises:
            SystemExit: At once, or as soon as the line is written.
        """
        last_resort = Timer(PATIENCE, os._exit, (status,))
        last_resort.daemon = True
        last_resort.start()
        self._status = status
        if not self._is_writing:
            sys.exit(status)


class Output(FileIO):
    """Standard output. If it can't be written, the log says so in one line and the process ends."""

    @override
    def write(self, data: Buffer, /) -> int:
        """Write a block.

        Args:
            data: The block.

        Returns:
            The number of bytes written, which may be fewer.

        Raises:
            SystemExit: With status 1 if the block can't be written.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            logger.warning("The target has gone, and so does the tap")
        except OSError as error:
            logger.error("The output can't be written: %s", error.strerror)  # noqa: TRY400
        # Else the interpreter would complain at its end that it can't write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        sys.exit(1)


def open_output(descriptor: int) -> TextIOWrapper:
    """Return a buffered standard output.

    Args:
        descriptor: The descriptor to write to. It stays open.

    Returns:
        A stream for text in UTF-8, with a `buffer` for bytes.
    """
    file = Output(descriptor, "w", closefd=False)
    return TextIOWrapper(BufferedWriter(file, BLOCK), encoding="utf-8")
