"""Every command: where it stands, and what it is for.

A command's module is imported when the command is used, and not to say what there is: some of them bring in all that
a pass needs.
"""

from __future__ import annotations

#: Command → module and name, and the first sentence of its help, which a test compares with the command's own.
COMMANDS = {
    "changes": ("erpsyncd.cli.changes:changes", "List, export or follow the records that tenants said were changed."),
    "checks": ("erpsyncd.cli.checks:checks", "List the answers to HasConnections, or show one of them whole."),
    "completion": (
        "erpsyncd.cli.completion:completion",
        "Print what makes a shell complete commands, options and tenants.",
    ),
    "config": ("erpsyncd.cli.config:config", "Look at the settings."),
    "connections": (
        "erpsyncd.cli.connections:connections",
        "List connections, settle what needs a decision, rename or forget them.",
    ),
    "db": ("erpsyncd.cli.db:db", "Look after the store."),
    "demo": ("erpsyncd.cli.demo:demo", "Show what erpsyncd does, on a stand-in NetServer, in a few seconds."),
    "doctor": ("erpsyncd.cli.doctor:doctor", "Look for what is wrong here and at the tenants, and say what to do."),
    "drift": ("erpsyncd.cli.drift:drift", "Compare what tenants have with what was pushed, and settle what differs."),
    "export": ("erpsyncd.cli.exports:export", "Write what is described as a document that imports to no change."),
    "import": (
        "erpsyncd.cli.imports:import_",
        "Read tenants and connections from TOML, YAML or JSON files (- is stdin).",
    ),
    "plan": ("erpsyncd.cli.plan:plan", "Say what the next pass would change, field by field."),
    "runs": ("erpsyncd.cli.history:runs", "List the passes that were made."),
    "sandbox": ("erpsyncd.cli.sandbox:sandbox", "Run a stand-in NetServer on loopback until Ctrl-C."),
    "schema": ("erpsyncd.cli.schema:schema", "Print the JSON Schema of what --output json writes."),
    "status": ("erpsyncd.cli.status:status", "Say whether everything is all right, and if not, what to do."),
    "tenants": (
        "erpsyncd.cli.tenants:tenants",
        "Describe tenants, try them out, leave them alone for a while, rename or forget them.",
    ),
    "validate": (
        "erpsyncd.cli.validate:validate",
        "Check documents as an import would, and write nothing (- is stdin).",
    ),
    "version": ("erpsyncd.cli.main:version", "Say which version this is."),
}
