"""How good a propensity model or an uplift model is: discrimination, calibration, uplift curves."""
