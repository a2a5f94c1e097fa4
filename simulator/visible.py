"""What a sender sees and may do, compiled: the functions of `policies` that the engines and environments call.

They are defined once, in `policies`; production runs them interpreted, with equal results to the last bit.
"""

from __future__ import annotations

from policies import constraints, features, history
from simulator.compiled import rebuilt

COMPILED = rebuilt(history, constraints, features)

clear = COMPILED.clear
record_send = COMPILED.record_send
record_open = COMPILED.record_open
record_session = COMPILED.record_session
record_interest = COMPILED.record_interest
record_conversion = COMPILED.record_conversion
remembered_sends = COMPILED.remembered_sends

category_of = COMPILED.category_of
is_quiet = COMPILED.is_quiet
standing = COMPILED.standing
standing_on = COMPILED.standing_on
opened_hour = COMPILED.opened_hour
expires_hour = COMPILED.expires_hour
trigger_hour = COMPILED.trigger_hour
campaign_suppression = COMPILED.campaign_suppression
channel_suppression = COMPILED.channel_suppression

write_user_features = COMPILED.write_user_features
write_slot_features = COMPILED.write_slot_features
