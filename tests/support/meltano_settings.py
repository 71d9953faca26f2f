"""What the README sets in `meltano.yml`: the integration tests run it."""

from __future__ import annotations

# Beneath `tap-analytics`, or beside it.
ONE_STREAM = """
select:
- users.*
"""
FEWER_FIELDS = """
select:
- '*.*'
- '!profiles.emails'
- '!profiles.phone_numbers'
- '!profiles.reputation.like_count'
"""
HASHED = """
config:
  stream_maps:
    profiles:
      email_hash: sha256(config['salt'] + emails[0]['email_id']) if _.get('emails') else None
      emails: __NULL__
      phone_numbers: __NULL__
  stream_map_config:
    salt: $EMAIL_SALT
"""
FLAT = """
config:
  flattening_enabled: true
  flattening_max_depth: 1
"""
