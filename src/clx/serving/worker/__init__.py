"""The process that holds models and runs them. It knows a socket, and nothing of tables, requests or deadlines."""
