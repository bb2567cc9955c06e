"""compliance-gateway: Intune compliance policy assignments for internal services that hold no Graph secret.

The map, top to bottom. A room (package or module) imports only from the rooms below it; import-linter checks that
(pyproject.toml). docs/design.md explains the words.

    cli            the commands, one thin module each          emulator     emulates Graph, Intune and Entra; imports
    bootstrap      Config -> running gateway                                nothing from the gateway
    plugins        constructs what the configuration names     quotas       the quota of each tenant
    doors          wire <-> Call                               testing      contract tests for plug-ins
    pipeline       the steps that every call passes
    assignments    the domain: a handler for each RPC; the heart: memory, round, writer, watch
    graph          requests to Microsoft Graph                 ledger       the durable record of every write
    odata          message <-> Graph's JSON                    credentials  tokens from Entra; only it imports msal
    operations     the table of RPCs, read from the protos
    call           what travels with one call                  entry        the ledger's record of one call
                                                               revision     the ledger's record of one write to a policy
    sets           the kinds of Intune object that have assignments
    errors, config, metrics, files, clock, pace, names, worker
"""

import os

# Read when grpc is imported. grpc's own log lines are not JSON, and unauthenticated clients could cause them by failed
# handshakes.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
