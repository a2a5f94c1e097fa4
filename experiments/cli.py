"""The `kairos` command. A command is a function in its own file, imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from experiments.faults import ConfigError

# name: where the command is, and its line in `kairos --help`, kept here so that help imports no command.
COMMANDS = {
    "compare": ("experiments.simulate:compare", "Compare policies on the same users under common luck."),
    "config": ("experiments.config_command:config", "Check, show and list configs."),
    "evaluate": (
        "experiments.offline.report.evaluate_command:evaluate",
        "Judge policies by a log, before they meet a person.",
    ),
    "explain": (
        "experiments.exports.explain_command:explain",
        "What a policy would do for a user, hour by hour, and why.",
    ),
    "export": (
        "experiments.exports.export_command:export",
        "Write a policy in another form, or distil it.",
    ),
    "init": ("experiments.init_command:init", "Write a commented config to start from."),
    "plan-test": ("experiments.planning.plan_command:plan_test", "Plan a test on people: users, days, and its traps."),
    "policy": (
        "experiments.policy_command:policy",
        "Check, show, seal, sign and verify policy documents.",
    ),
    "record": ("experiments.recording.record_command:record", "Log every decision of a policy, and what followed."),
    "reproduce": ("experiments.run.reproduce_command:reproduce", "Run a finished run again; compare bit for bit."),
    "results": ("experiments.run.results_command:results", "List, show and compare finished runs."),
    "robustness": (
        "experiments.robustness.robustness_command:robustness",
        "Try policies in worlds that they were not made in.",
    ),
    "rollout": (
        "experiments.exports.rollout_command:rollout",
        "What a new policy would change, and a ramp for it.",
    ),
    "run": ("experiments.run.run_command:run", "Run an experiment: train, judge, export, report."),
    "serve": ("experiments.serve_command:serve", "Serve a policy's decisions over HTTP, with caps that hold."),
    "service-log": ("experiments.serve_command:service_log", "Write what a service has decided into a ledger."),
    "simulate": ("experiments.simulate:simulate", "Run one policy and measure what it comes to."),
    "study": ("experiments.agent_study.study_command:study", "Hold every agent against tuned baselines."),
    "sweep": ("experiments.sweep.sweep_command:sweep", "Run an experiment under many settings and seeds."),
    "train": ("experiments.training.train_command:train", "Train an agent; go on where a training stopped."),
}


class LazyCommands(click.Group):
    """Imports a command when it runs, and tells a config's faults without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{COMMANDS[cmd_name][0]} is not a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the lines kept here."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a bad config exits with 1, an interruption with 130, as a shell expects."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)
        except MemoryError as error:
            click.echo(f"Error: not enough memory. {error}", err=True)
            ctx.exit(1)
        except ConfigError as error:
            click.echo(str(error), err=True)
            ctx.exit(1)


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulate the users of an app, and the messages they are sent."""


if __name__ == "__main__":
    main(prog_name="kairos")
