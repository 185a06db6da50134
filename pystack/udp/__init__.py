"""UDP: who has which port, what comes, what goes."""
