"""What happens at the hub, taken elsewhere: readings and events, to webhooks and an MQTT broker.

    store: readings 1, 2, 3 ...    audit log 1, 2, 3 ...         the logs are the queue
          |                            |
          +---- logs.py: what comes behind a position, as items.py says it
                         |
                   follower.py: one task a destination: deliver a batch, then move its position
                         |
              webhook.py, mqtt.py: a destination accepts a batch, or raises

Every item arrives at least once, in the order of its log, also if the hub is killed or the
destination is away for a week: its position, which is in the store, moves only once it has
accepted. The hub itself never waits for a destination.
"""

READINGS, EVENTS = LOGS = ("readings", "events")
