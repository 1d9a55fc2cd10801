"""The engine `spark`: runs spread over the executors of a Spark cluster, each as a task of its own."""
