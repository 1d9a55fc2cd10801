"""How the JVMs of Kafka and Solr run on this machine: with little memory, on few cores."""

LASTING = ("-Xms96m", "-Xmx512m", "-XX:+UseSerialGC")
"""For servers that work for long: the second compiler takes its time first, and 10 % less for each image then."""

QUICK = (*LASTING, "-XX:TieredStopAtLevel=1")
"""The first compiler alone: Kafka starts with a third less CPU. What the second one takes to compile Kafka and Solr
comes back only after some 250,000 images."""
