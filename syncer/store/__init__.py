"""PostgreSQL: connections, the schema, what polls read and write, and the queries of everything else."""
