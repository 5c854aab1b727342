"""What `ocs` talks to: the store, tariff files, the clock, the metrics registry."""
