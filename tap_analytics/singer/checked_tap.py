"""The inputs of the tap: settings, catalog, state and files, with one line per error."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from singer_sdk import Tap
from singer_sdk.exceptions import (
    ConfigValidationError,
    MapExpressionError,
    StreamMapConfigError,
)

from tap_analytics._compat import override
from tap_analytics.config import defaults, maps, validation
from tap_analytics.log.wording import one_line
from tap_analytics.singer import catalog as catalogs
from tap_analytics.singer import state as states
from tap_analytics.singer.api import parents_of_streams
from tap_analytics.singer.shape import ShapeMapper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import click
    from singer_sdk.plugin_base import _ConfigInput

    from tap_analytics.singer.api import Api


class CheckedTap(Tap, ABC):
    """A tap that stops before the first request if one of its inputs is wrong.

    Attributes:
        selected_in_catalog: The names of the streams that the catalog selects, if there is one.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Create the tap.

        Args:
            **kwargs: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: If a setting, the catalog or the state is wrong, with one line
                per error in `errors`.
        """
        self.selected_in_catalog: set[str] = set()
        if isinstance(kwargs.get("catalog"), dict):
            kwargs["catalog"] = self._read_catalog(kwargs["catalog"])
        problem = None
        try:
            super().__init__(**kwargs)
        except ValueError as error:
            problem = error
        if kwargs.get("parse_env_config"):
            # The SDK converts variables without saying which it can't, and takes any text that is
            # not "true" for false.
            prefix = f"{self.name}_".replace("-", "_").upper()
            errors = [*validation.find_environment_errors(prefix, self.config_jsonschema)]
            if errors:
                raise invalid(errors) from problem
        if problem:
            raise problem

    @property
    @abstractmethod
    def apis(self) -> Sequence[Api]:
        """All APIs."""

    def _read_catalog(self, given: dict[str, Any]) -> dict[str, Any]:
        if error := catalogs.find_shape_error(given):
            raise invalid([error])
        parents = parents_of_streams(self.apis)
        catalog = catalogs.normalised(given, parents)
        if errors := [*catalogs.find_errors(catalog, parents)]:
            raise invalid(errors)
        self.selected_in_catalog = catalogs.selected_streams(catalog)
        return catalog

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over bookmarks.

        Args:
            state: The value of a STATE message.

        Raises:
            ConfigValidationError: If it is not a state of this tap.
        """
        known = parents_of_streams(self.apis)
        if errors := [*states.find_errors(state, known)]:
            raise invalid(errors)
        state = states.normalised(state, known)
        super().load_state(state)
        for warning in states.find_warnings(state):
            self.logger.warning("%s", warning)

    # Command line

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the configuration files.

        Args:
            ctx: The click context.
            param: The `--config` option.
            value: Paths of JSON files, and `ENV` for environment variables.

        Returns:
            The settings in them.

        Raises:
            ConfigValidationError: If a file can't be read.
        """
        errors = [problem for path in value if (problem := _find_file_error(path))]
        if errors:
            raise invalid(errors)
        return super().cb_config(ctx, param, value)

    @classmethod
    @override
    def invoke(
        cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **kwargs: Any
    ) -> None:
        """Run a sync, or print what `--about` asks for.

        Args:
            state: A file with the value of a STATE message.
            catalog: A file with a catalog.
            **kwargs: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: If a setting is wrong or a file can't be read.
            IncompleteSyncError: If a stream can't be read.
        """
        for file in (state, catalog):
            if file is not None and (problem := _find_file_error(file.name)):
                raise invalid([problem])
        super().invoke(state=state, catalog=catalog, **kwargs)

    # Settings

    @override
    def setup_mapper(self) -> None:
        """Prepare the stream maps.

        Raises:
            ConfigValidationError: If one does not fit its stream.
        """
        try:
            self.mapper = ShapeMapper(dict(self.config), self.logger)
            self.mapper.register_raw_streams_from_catalog(self.catalog)
        except (MapExpressionError, StreamMapConfigError) as error:
            raise invalid([f"`stream_maps`: {one_line(str(error))}"]) from error

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # Nothing public runs between the reading of the settings and their use.
        self.append_builtin_config(self.config_jsonschema)
        config, schema = self._config, self.config_jsonschema
        errors = validation.find_errors(config, schema, self.apis, _find_batch_errors)
        chosen = [*defaults.fill_in(config)]
        if errors and raise_errors:
            raise invalid(errors)
        if not errors:
            urls = [api.url_setting for api in self.apis if api.is_configured(self.config)]
            for line in chosen if defaults.URL_SETTING in urls else ():
                self.logger.info("%s", line)
            known = parents_of_streams(self.apis)
            warnings = chain(
                validation.find_warnings(config, schema, self.apis),
                maps.find_warnings(config.get("stream_maps", {}), known),
            )
            for warning in warnings:
                self.logger.warning("%s", warning)
        return errors


def _find_batch_errors(config: Mapping[str, Any]) -> Iterator[str]:
    # Few need it, and it takes long to import.
    from tap_analytics.singer import batches  # noqa: PLC0415

    return batches.find_errors(config)


def _find_file_error(path: str) -> str | None:
    """Return what is wrong with a JSON file; `-` is standard input, which is read only once."""
    if path in {"ENV", "-", "<stdin>"}:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path} can't be read: {error}"
    return None if isinstance(content, dict) else f"{path} holds no JSON object"


def invalid(errors: list[str]) -> ConfigValidationError:
    """Return the exception for wrong inputs.

    Args:
        errors: One line per error.
    """
    return ConfigValidationError("Config validation failed", errors=errors)
