"""Starts, follows and judges one sealed container. Needs the client of Docker, and no Airflow."""
