"""Publishing images to Kafka: from folders, files, archives, IDX files and folders that are watched."""
