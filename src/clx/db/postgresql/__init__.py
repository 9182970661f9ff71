"""PostgreSQL behind the job table: the only room that knows psycopg."""
