"""The harness of the comparison: it starts servers, workers and clients, counts what the jobs report, and stops all."""
