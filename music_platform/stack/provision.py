"""Creates what the platform needs before its first run: topics, database and empty reference tables."""

from music_platform.errors import LocalStackError
from music_platform.settings import Settings
from music_platform.stack.broker import in_sync
from music_platform.stack.listeners import require_listeners
from music_platform.stack.services import KAFKA, WAREHOUSE

_TIMEOUT_SECONDS = 30


def provision(settings: Settings) -> list[str]:
    """Create whatever is missing. Returns the names of the topics that were created."""
    return provision_for(settings, None)


def provision_for(settings: Settings, services: set[str] | None) -> list[str]:
    """The same for some services only; all if None. External services are provisioned like local ones."""
    created = create_topics(settings) if services is None or KAFKA in services else []
    if services is None or WAREHOUSE in services:
        from music_platform.warehouse.schema import provision_warehouse

        provision_warehouse(settings)
    return created


def create_topics(settings: Settings) -> list[str]:
    """Create the contract's topics that do not exist yet; returns their names."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.cimpl import NewTopic

    from music_platform.topics import Brokers, topic_names, unreachable

    require_listeners(settings, KAFKA)
    brokers = Brokers(settings.kafka_client_config())
    admin = brokers.admin
    try:
        brokers.result(admin.describe_cluster(request_timeout=_TIMEOUT_SECONDS))
        existing = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise unreachable(settings.kafka_client_config(), error, brokers.last_error) from error
    # Set on the topic, as its number of replicas may differ from the cluster's default.
    durable = {"min.insync.replicas": str(in_sync(settings.topic_replicas))} if settings.kafka_is_local else {}
    wanted = [
        NewTopic(
            name,
            num_partitions=settings.topic_partitions,
            replication_factor=settings.topic_replicas,
            config=durable,
        )
        for name in topic_names(settings).values()
        if name not in existing
    ]
    if not wanted:
        return []
    created = []
    for name, future in admin.create_topics(wanted, operation_timeout=_TIMEOUT_SECONDS).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            # Another process may have created it first.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LocalStackError(
                    f"Kafka at {settings.bootstrap_servers} cannot create the topic {name}: {error.args[0].str()}. "
                    "TOPIC_PARTITIONS and TOPIC_REPLICATION must be valid for the cluster."
                ) from error
    return created
