"""What longer horizons do to estimators of whole episodes, and a picture of it."""
