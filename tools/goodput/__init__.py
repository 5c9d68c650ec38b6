"""How much of the hosts' time becomes work when hosts are taken back."""
