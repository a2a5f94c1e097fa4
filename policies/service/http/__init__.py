"""The service's face: endpoints, keys, limits, metrics, the operations page."""
