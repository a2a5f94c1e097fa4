"""What the field reports of offline evaluation, reproduced where the truth is known."""
