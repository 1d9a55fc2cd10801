"""Remove what a test made: topics, cores and tables whose names hold a suffix."""

import requests

from flumen.stack import kudu
from flumen.stack.layout import Endpoints
from flumen.stores.artifacts.session import open_session

SECONDS = 20


def remove_leftovers(endpoints: Endpoints, suffix: str) -> None:
    """Delete every topic, core and table whose name holds `suffix`, as far as the servers still answer."""
    remove_topics(endpoints.kafka, suffix)
    remove_cores(endpoints.solr_url, suffix)
    remove_tables(endpoints.kudu_masters, suffix)


def remove_topics(kafka: str, suffix: str) -> None:
    """Delete the topics whose names hold `suffix`."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    try:
        topics = [name for name in admin.list_topics(timeout=SECONDS).topics if suffix in name]
    except KafkaException:
        return
    if topics:
        for deletion in admin.delete_topics(topics).values():
            deletion.exception(SECONDS)


def remove_cores(solr_url: str, suffix: str) -> None:
    """Unload the cores whose names hold `suffix`, and delete their folders."""
    with open_session(solr_url) as session:
        admin = f"{solr_url}/admin/cores"
        try:
            status = session.get(admin, params={"action": "STATUS", "indexInfo": "false"}, timeout=SECONDS)
            for name in status.json()["status"]:
                if suffix in name:
                    unload = {"action": "UNLOAD", "core": name, "deleteInstanceDir": "true"}
                    session.get(admin, params=unload, timeout=SECONDS)
        except requests.RequestException:
            return


def remove_tables(masters: str, suffix: str) -> None:
    """Drop the tables whose names hold `suffix`, with Kudu's own tool where the local stack has put it."""
    for name in (kudu.ask("table", "list", masters) or "").split():
        if suffix in name:
            kudu.ask("table", "delete", masters, name)
