"""compliance-gateway: Intune compliance policy assignments for internal services that hold no Graph secret.

The map, top to bottom; a room imports only from the rooms below it (held by import-linter, see pyproject.toml):

    cli            the commands, a thin file each          emulator   a Graph, Intune and Entra look-alike; knows
    bootstrap      Config -> running gateway                          nothing of the rest
    plugins        what the configuration names, made          quotas     each tenant's, by the configuration
    doors          wire <-> Call                           testing    contract tests for plug-ins
    pipeline       what every call passes
    assignments    the domain: a handler per RPC; the heart: memory, round, writer, watch
    graph          requests to Microsoft Graph         ledger     the durable record of every write
    odata          message <-> Graph JSON                  credentials   tokens from Entra; alone knows msal
    operations     the RPCs as rows, read from the protos
    call           what travels with one call          entry      what is kept of it
                                                       revision   what is kept of one write of a policy
    sets           the kinds of Intune object that have assignments
    errors, config, metrics, files, clock, pace, names, worker
"""

import os

# Read when grpc is imported. Its own lines are no JSON, and strangers could write them with handshakes that fail.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
