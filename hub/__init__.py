"""The broker: intake, cases, ecerts, deliveries, access, audit, health, console. Start at :mod:`hub.app`."""
