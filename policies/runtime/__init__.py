"""Decide for users in one process: limits and features from their histories, with the standard library alone.

    app = App(campaigns=(Campaign(name="digest"),), constraints=preset("braze"))
    runtime = Runtime(load(text), app)
    user = runtime.new_user(now, permitted=("push",), time_zone="Europe/Paris")
    answer = runtime.decide(user, now, uniform=random.random())     # answer.send, answer.channel, answer.suppressed
    user.had_session(now); kept = user.packed()                     # bytes; User.unpacked(kept) next time

What is sent is written into the user's history, so the next decision knows of it. `policies.service` is the same with
a store, for many processes at once.
"""

from __future__ import annotations

from policies.runtime.app import App, Audience, Campaign, Users
from policies.runtime.fitted import QuestionError, Wish
from policies.runtime.runtime import Answer, ClockError, Runtime
from policies.runtime.user import User

__all__ = ["Answer", "App", "Audience", "Campaign", "ClockError", "QuestionError", "Runtime", "User", "Users", "Wish"]
