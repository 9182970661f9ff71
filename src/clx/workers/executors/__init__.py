"""How a worker is brought to life: as a subprocess, or as a container. The rest of CLX does not care which."""
